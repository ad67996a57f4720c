"""Balances of the accounts of one payment after each of its transfers. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from operations.why.model import BookedTransfer


@dataclass(frozen=True, slots=True)
class RunningTransfer:
    """A transfer, and the balances of its two accounts after it: credits minus debits of this payment alone."""

    transfer: BookedTransfer
    debit_balance: int
    credit_balance: int


def running_balances(transfers: Iterable[BookedTransfer]) -> list[RunningTransfer]:
    """Return the transfers in their order with the balances after each. Currencies are never added."""
    balances = Counter[tuple[str, str]]()
    rows = []
    for transfer in transfers:
        debit, credit = ((account, transfer.currency) for account in (transfer.debit_account, transfer.credit_account))
        balances[debit] -= transfer.amount
        balances[credit] += transfer.amount
        rows.append(RunningTransfer(transfer, balances[debit], balances[credit]))
    return rows
