"""Facts as transfers between accounts, and as the updates of payments that one statement can book.

facts → `with_implied_facts` → `payment_updates` → `partition_conflicting` → ledger/posting.py
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import Fact, Kind

Total = Literal["captured", "captures_failed", "refunds_made", "refunds_failed"]
"""The total of a payment that a transfer changes; `captures_failed` is subtracted from `captured`."""


class TransferRule(NamedTuple):
    """How a fact moves money: the prefix of its transfer's key, its accounts, and the total that it adds to."""

    name: str
    debit: str
    credit: str
    adds_to: Total | None


TRANSFER_RULES: Mapping[Kind, TransferRule] = {
    "captured": TransferRule("capture", "provider", "merchant", "captured"),
    "refunded": TransferRule("refund", "merchant", "provider", "refunds_made"),
    "refund_failed": TransferRule("refund_failed", "provider", "merchant", "refunds_failed"),
    "capture_failed": TransferRule("capture_failed", "merchant", "provider", "captures_failed"),
    "funds_withdrawn": TransferRule("dispute", "disputes", "provider", None),
    "funds_reinstated": TransferRule("dispute_reinstated", "provider", "disputes", None),
}
"""The facts that move money. All other facts are about states and amounts."""

IMPLIES: Mapping[Kind, Kind] = {
    "refund_failed": "refunded",
    "capture_failed": "captured",
    "funds_reinstated": "funds_withdrawn",
}
"""A failed refund implies the refund. Both are booked, even if the refund's own event has not arrived, so that the
order of events does not matter."""

DISPUTE_KINDS: frozenset[Kind] = frozenset(
    {"dispute_opened", "dispute_won", "dispute_lost", "funds_withdrawn", "funds_reinstated"}
)

_AMOUNT_KINDS: frozenset[Kind] = frozenset({"pending", "authorized", "captured", "failed", "canceled"})
"""The facts whose amount is the amount of the payment, or a part of it."""


@dataclass(slots=True)
class PaymentUpdate:
    """What one event adds to its payment: states, amounts, and at most one transfer. One row of `book_facts`."""

    event: Event
    currency: str
    amount: int = 0
    refunds_total: int = 0
    authorized: bool = False
    succeeded: bool = False
    failed: bool = False
    canceled: bool = False
    capture_failed: bool = False
    fact: Fact | None = None
    """The fact that moves money."""
    transfer_key: str | None = None
    """Names the transfer in its namespace. None without a transfer, and if an earlier update of the batch has it."""
    transfer_amount: int = 0
    adds_to: Total | None = None
    debit_account: str | None = None
    credit_account: str | None = None

    @property
    def payment(self) -> tuple[str, str]:
        """The payment's namespace and id."""
        return self.event.namespace, self.event.resource

    @property
    def full_key(self) -> str:
        """The transfer's namespace and key, as `book_facts` returns them."""
        return f"{self.event.namespace}:{self.transfer_key}"

    def add(self, fact: Fact) -> None:
        """Add a fact's state and amount. Its transfer is added by `add_transfer`."""
        match fact.kind:
            case "authorized":
                self.authorized = True
            case "captured":
                self.succeeded = True
            case "failed":
                self.failed = True
            case "canceled":
                self.canceled = True
            case "capture_failed":
                self.capture_failed = True
            case "refunded_total":
                self.refunds_total = max(self.refunds_total, fact.amount)
        if fact.kind in _AMOUNT_KINDS:
            self.amount = max(self.amount, fact.amount)

    def add_transfer(self, fact: Fact, rule: TransferRule, accounts: Mapping[str, str]) -> None:
        """Set the transfer that a fact makes. `accounts` are the names' templates."""
        self.fact, self.adds_to, self.transfer_amount = fact, rule.adds_to, fact.amount
        self.transfer_key = f"{rule.name}:{fact.object}"
        self.debit_account = account_name(accounts[rule.debit], self.event, self.currency)
        self.credit_account = account_name(accounts[rule.credit], self.event, self.currency)


def with_implied_facts(facts: Sequence[Fact], event: Event, rules: PostingRules) -> Iterator[Fact]:
    """Return the facts and those they imply.

    With `capture = "automatic"` an authorization implies the capture. A payment then has exactly one capture, whose
    object is the payment's id, and the provider's own capture facts are dropped.
    """
    is_automatic = rules.capture == "automatic"
    for fact in facts:
        if is_automatic and fact.kind == "captured":
            continue
        if is_automatic and fact.kind == "capture_failed":
            fact = Fact(fact.kind, fact.amount, fact.currency, event.resource)  # noqa: PLW2901
        if implied := IMPLIES.get(fact.kind):
            yield Fact(implied, fact.amount, fact.currency, fact.object)
        yield fact
        if is_automatic and fact.kind == "authorized":
            yield Fact("captured", fact.amount, fact.currency, event.resource)


def payment_updates(event: Event, facts: Iterable[Fact], rules: PostingRules) -> Iterator[PaymentUpdate]:
    """Return an event's facts in as few updates as possible: one per transfer, and one per currency."""
    update: PaymentUpdate | None = None
    for fact in facts:
        rule = TRANSFER_RULES.get(fact.kind) if fact.amount else None
        if update is None or update.currency != fact.currency or (rule and update.fact):
            if update:
                yield update
            update = PaymentUpdate(event, fact.currency)
        update.add(fact)
        if rule:
            update.add_transfer(fact, rule, rules.accounts)
    if update:
        yield update


def account_name(template: str, event: Event, currency: str) -> str:
    """Return an account's name: the template with the event's names filled in."""
    payment = event.resource if "{payment" in template else ""
    return _filled(template, event.source, event.namespace, event.provider, currency, payment)


@lru_cache(maxsize=1024)
def _filled(template: str, source: str, namespace: str, provider: str, currency: str, payment: str) -> str:
    return template.format(
        source=source, namespace=namespace, provider=provider, currency=currency, payment=payment
    )  # fmt: skip


class ConsistentBatch:
    """Updates that do not contradict each other, so that one statement can book them."""

    def __init__(self) -> None:
        self.updates: list[PaymentUpdate] = []
        self._terms: dict[str, tuple[int, str, str]] = {}
        self._currencies: dict[tuple[str, str], str] = {}

    def add(self, update: PaymentUpdate) -> bool:
        """Add the update and return True; return False if it contradicts one in the batch.

        A transfer that is in the batch already, with the same terms, is removed from the update.
        """
        if self._currencies.setdefault(update.payment, update.currency) != update.currency:
            return False
        if update.transfer_key:
            terms = update.transfer_amount, update.currency, update.event.resource
            known = self._terms.setdefault(update.full_key, terms)
            if known != terms:
                return False
            if known is not terms:
                update.transfer_key = None
        self.updates.append(update)
        return True


def partition_conflicting(updates: Iterable[PaymentUpdate]) -> list[ConsistentBatch]:
    """Return the updates as one batch; if they contradict each other, as more batches, to be booked in their order."""
    batches = [ConsistentBatch()]
    for update in updates:
        if not any(batch.add(update) for batch in batches):
            batches.append(ConsistentBatch())
            batches[-1].add(update)
    return batches
