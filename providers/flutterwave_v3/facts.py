"""Flutterwave v3: transactions and refunds, as its API says they are.

Source: github.com/Flutterwave/Node-v3 (documentation/transactions.md) and developer.flutterwave.com/docs, "Transaction
verification". An event reports nothing itself, because anyone who has seen one can write any other: only what the API
said is read (`signed = api`).

* The payment is the merchant's reference, `tx_ref`. Each attempt to pay it is a transaction with an id of its own,
  which names the capture.
* `amount` is booked, what was asked for. `charged_amount` may have the fees on top, which the customer paid.
* A refund names no currency; it is in the transaction's. Its id names the transfer.
"""

from collections.abc import Callable, Mapping, Sequence

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete
from providers.facts import ExtractFacts
from providers.flutterwave_v3.models import RefundObject, TransactionObject
from providers.models import loads_decimal


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts of what the API said, by the event's type; none of what was only delivered."""
    extract: Callable[[Event], Sequence[Fact]] | None = TYPES.get(event.type) or OBJECTS.get(event.type)
    return extract(event) if extract and event.signed == "api" else ()


_TRANSACTION: Mapping[str, Kind] = {"successful": "captured", "pending": "pending", "failed": "failed"}


def _transaction(event: Event) -> Sequence[Fact]:
    """Return what its status says. The state of the request, `success`, is another one."""
    transaction = read_complete(TransactionObject, loads_decimal(event.body)).data
    kind = _TRANSACTION.get((transaction.status or "").lower())
    if kind is None:
        return []
    amount = minor_units(transaction.amount, transaction.currency)
    return [Fact(kind, amount, transaction.currency, transaction.id if kind == "captured" else "")]


def _refund(event: Event) -> Sequence[Fact]:
    """Return nothing before the refund has ended. Its status may name the way it went: `completed-mpgs`."""
    read = read_complete(RefundObject, loads_decimal(event.body))
    refund, currency = read.data, read.transaction.currency
    status = (refund.status or "").lower().partition("-")[0]
    kind = _REFUND.get(status)
    return [Fact(kind, minor_units(refund.amount_refunded, currency), currency, refund.id)] if kind else []


_REFUND: Mapping[str, Kind] = {"completed": "refunded", "successful": "refunded", "failed": "refund_failed"}

TYPES: Mapping[str, ExtractFacts] = {"charge.completed": _transaction}
"""The types that report money. docs/providers/flutterwave_v3.md says why each of the others is recorded only."""

OBJECTS: Mapping[str, ExtractFacts] = {"reconcile.transaction": _transaction, "reconcile.refund": _refund}
"""What the API lists, in an event's form (`providers.flutterwave_v3.api`)."""
