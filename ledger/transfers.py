"""Facts as transfers between accounts, and as the updates of payments that one statement can book.

facts → `with_implied_facts` → `by_payment` → `payment_updates` → `partition_conflicting` → ledger/posting.py
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from contract.accounts import OWN_ACCOUNT, PostingRules
from contract.event import Event
from contract.facts import DISPUTE_KINDS, DISPUTE_TRANSFERS, Fact, Kind

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
}
"""A failed refund implies the refund. Both are booked, even if the refund's own event has not arrived, so that the
order of events does not matter. A reinstatement implies no withdrawal: it may be a part of one."""

_AMOUNT_KINDS: frozenset[Kind] = frozenset({"pending", "authorized", "captured", "failed", "canceled"})
"""The facts whose amount is the amount of the payment, or a part of it."""


@dataclass(slots=True)
class PaymentUpdate:
    """What one event adds to its payment: states, amounts, and at most one transfer. One row of `book_facts`."""

    event: Event
    currency: str
    amount: int = 0
    asked_for: int = 0
    """The largest amount of the event's facts that are no captures by the provider."""
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
    dispute_id: str | None = None
    """The dispute for which the transfer moves money."""
    of_dispute: bool = False
    """Its facts are about disputes only, so that its currency need not be the payment's."""
    captured_outside: int = 0
    """What the merchant received without the provider."""
    outside_key: str | None = None
    """The key that the capture outside would have as a transfer, as version 0.2 booked it."""

    @property
    def payment(self) -> tuple[str, str]:
        """The payment's namespace and id."""
        return self.event.namespace, self.event.resource

    @property
    def full_key(self) -> str:
        """The transfer's namespace and key, as `book_facts` returns them."""
        return f"{self.event.namespace}:{self.transfer_key}"

    @property
    def asked(self) -> int:
        """What was asked for apart from a capture. An amount that the event also reports as captured does not
        count: if the capture turns out to be wrong, that amount is wrong too.
        """
        is_captured = self.fact is not None and self.fact.kind == "captured"
        return 0 if is_captured and self.asked_for == self.transfer_amount else self.asked_for

    @property
    def account(self) -> str:
        """The provider's account whose money it is."""
        return self.event.account

    def add(self, fact: Fact) -> None:
        """Add a fact's state and amount. Its transfer is added by `add_transfer`."""
        match fact.kind:
            case "authorized":
                self.authorized = True
            case "captured":
                self.succeeded = True
                if fact.held_by == "merchant":
                    self.captured_outside = max(self.captured_outside, fact.amount)
                    self.outside_key = f"{TRANSFER_RULES['captured'].name}:{fact.object}"
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
            if fact.kind != "captured" or fact.held_by == "merchant":
                self.asked_for = max(self.asked_for, fact.amount)

    def add_transfer(self, fact: Fact, rule: TransferRule, accounts: Mapping[str, str]) -> None:
        """Set the transfer that a fact makes. `accounts` are the names' templates."""
        self.fact, self.adds_to, self.transfer_amount = fact, rule.adds_to, fact.amount
        self.transfer_key = f"{rule.name}:{fact.object}"
        self.dispute_id = fact.dispute_id if fact.kind in DISPUTE_TRANSFERS else None
        self.debit_account = account_name(accounts[rule.debit], self.event, self.currency)
        self.credit_account = account_name(accounts[rule.credit], self.event, self.currency)


def with_implied_facts(facts: Sequence[Fact], event: Event, rules: PostingRules) -> Iterator[Fact]:
    """Return the facts and those they imply.

    With `capture = "automatic"` each authorization implies a capture, except for one of 0, which only checks a card.
    The capture is booked even if it turns out not to count, and is undone then (`ledger.posting.undo_captures`), so
    that the order of events does not matter.
    """
    for fact in facts:
        if implied := IMPLIES.get(fact.kind):
            yield replace(fact, kind=implied)
        yield fact
        if fact.kind == "authorized" and fact.amount and rules.capture == "automatic":
            payment = fact.payment or event.resource
            name = f"{payment}/{fact.object}" if fact.object else payment
            yield Fact("captured", fact.amount, fact.currency, name, payment=fact.payment)


def may_imply_captures(facts: Sequence[Fact], rules: PostingRules) -> bool:
    """Return whether a capture under the payment's own name may have to be undone (`ledger.posting.undo_captures`)."""
    return rules.capture == "automatic" or any(fact.either_whole_or_parts for fact in facts)


def by_payment(event: Event, facts: Sequence[Fact]) -> Iterator[tuple[Event, Sequence[Fact]]]:
    """Return the event with its facts; if they are about several payments, once for each, as an event about it."""
    for fact in facts:
        if fact.payment:
            break
    else:  # as of almost every event
        yield event, facts
        return
    for payment in dict.fromkeys(fact.payment or event.resource for fact in facts):
        about = event if payment == event.resource else replace(event, resource=payment)
        yield about, [fact for fact in facts if (fact.payment or event.resource) == payment]


def payment_updates(event: Event, facts: Iterable[Fact], rules: PostingRules) -> Iterator[PaymentUpdate]:
    """Return an event's facts in as few updates as possible: one per transfer, and one per currency."""
    update: PaymentUpdate | None = None
    for fact in facts:
        rule = TRANSFER_RULES.get(fact.kind) if fact.amount and fact.held_by == "provider" else None
        of_dispute = fact.kind in DISPUTE_KINDS
        if (
            update is None
            or update.currency != fact.currency
            or update.of_dispute != of_dispute
            or (rule and update.fact)
        ):
            if update:
                yield update
            update = PaymentUpdate(event, fact.currency, of_dispute=of_dispute)
        update.add(fact)
        if rule:
            update.add_transfer(fact, rule, rules.accounts)
    if update:
        yield update


def account_name(template: str, event: Event, currency: str) -> str:
    """Return an account's name: the template with the event's names filled in."""
    payment = event.resource if "{payment" in template else ""
    account = event.account or OWN_ACCOUNT if "{account" in template else ""
    return _filled(template, event.source, event.namespace, event.provider, account, currency, payment)


@lru_cache(maxsize=1024)
def _filled(
    template: str, source: str, namespace: str, provider: str, account: str, currency: str, payment: str
) -> str:  # fmt: skip
    return template.format(
        source=source, namespace=namespace, provider=provider, account=account, currency=currency, payment=payment
    )


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
        if not update.of_dispute and (self._currencies.setdefault(update.payment, update.currency) != update.currency):
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
