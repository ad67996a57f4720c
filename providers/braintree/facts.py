"""Braintree: transactions, charges of subscriptions, local payments, disputes.

Source: developer.paypal.com/braintree/docs/reference/general/webhooks, and its statuses of transactions and disputes.

* A refund is a transaction of its own, of type `credit`, that names the transaction it pays back.
* A settlement, a disbursement and the charge of a subscription report one capture. It is named by the transaction's id.
* A transaction submitted for settlement counts as captured: no notification reports a card's settlement. Where a bank
  returns the money, settlement_declined undoes the capture, even after transaction_settled.
  A void of such a transaction is not reported either: no notification says that it will not settle after all. The API
  says so.
* A transaction of which parts were settled ("partial settlement", PayPal and Venmo) is `settlement_confirmed`: it "will
  not be submitted to processor for settling", its parts are, each a transaction of its own (GraphQL, PaymentStatus).
* The disputed amount "is debited from a merchant's account and held in a third-party account until the dispute is
  resolved" (developer.paypal.com/braintree/graphql/reference/types/dispute, amountDisputed), so every notification of
  a chargeback or a pre-arbitration withdraws it, once. A win brings back the amount won, which may be less.
* A pre-arbitration is the "second challenge to a charge, in the case that you have won an initial chargeback"
  (…/types/dispute-type): a dispute of its own, with an id of its own.
* A local payment may have no transaction yet ("a transaction can now be created"): the money is not the merchant's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.braintree.models import (
    NEWEST_CHARGE,
    SUBJECT,
    Money,
    Transaction,
    element_at,
    read_dispute,
    read_notification,
    read_transaction,
)

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Facts = Sequence[Fact]


def extract_facts(event: Event) -> Facts:
    """Return the facts about the subject, by the notification's kind; about an object only if the API said it."""
    extract = TYPES.get(event.type) or (OBJECTS.get(event.type) if event.signed == "api" else None)
    return extract(element_at(read_notification(event.body), SUBJECT)) if extract else ()


def _fact(kind: Kind, money: Money, *, named: bool = True) -> Fact:
    """Return a fact about the object. `named`: the object is itself a capture, a refund or a dispute, and names it."""
    return Fact(kind, minor_units(money.amount, money.currency), money.currency, money.id if named else "")


def _transaction(extract: Callable[[Transaction], Facts], path: str = "transaction") -> Callable[["Element"], Facts]:
    return lambda subject: extract(read_transaction(subject, path))


def _settled(transaction: Transaction) -> Facts:
    return [_fact("refunded" if transaction.is_refund else "captured", transaction)]


def _settlement_declined(transaction: Transaction) -> Facts:
    if transaction.is_refund:
        return _refund_failed(transaction)
    return [_fact("failed", transaction, named=False), _fact("capture_failed", transaction)]


def _refund_failed(transaction: Transaction) -> Facts:
    return [_fact("refund_failed", transaction)]


_STATUSES: Mapping[str, Kind] = {
    "authorizing": "pending",
    "settlement_pending": "pending",
    "authorized": "authorized",
    "submitted_for_settlement": "captured",
    "settling": "captured",
    "settlement_confirmed": "authorized",
    "settled": "captured",
    "processor_declined": "failed",
    "gateway_rejected": "failed",
    "failed": "failed",
    "voided": "canceled",
    "authorization_expired": "canceled",
}


def _by_status(transaction: Transaction) -> Facts:
    if transaction.status == "settlement_declined":
        return _settlement_declined(transaction)
    kind = _STATUSES.get(transaction.status or "")
    if transaction.is_refund:
        return [_fact("refunded", transaction)] if kind == "captured" else []
    return [_fact(kind, transaction, named=kind == "captured")] if kind else []


def _now(transaction: Transaction) -> Facts:
    """Use the transaction's status, and whether it was ever submitted: what ended after that is undone."""
    facts = _by_status(transaction)
    if transaction.status not in _ENDED or not transaction.was_submitted:
        return facts
    if transaction.is_refund:
        return _refund_failed(transaction)
    return [*facts, _fact("capture_failed", transaction)]


_ENDED = frozenset({"voided", "authorization_expired", "processor_declined", "gateway_rejected", "failed"})
"""The statuses of a transaction that will not settle. `settlement_declined` undoes the capture by itself."""


def _dispute(kind: Kind) -> Callable[["Element"], Facts]:
    """Extract no fact from a retrieval: a bank asks for documents. A chargeback that follows has another id."""

    def extract(subject: "Element") -> Facts:
        dispute = read_dispute(subject)
        if dispute.kind == "retrieval":
            return []
        facts = [_fact(kind, dispute), _fact("funds_withdrawn", dispute)]
        if kind == "dispute_won":
            won = dispute.amount if dispute.amount_won is None else dispute.amount_won
            facts.append(replace(facts[0], kind="funds_reinstated", amount=minor_units(won, dispute.currency)))
        return facts

    return extract


def _dispute_now(subject: "Element") -> Facts:
    """Use the dispute's own status."""
    kind = _DISPUTE_STATUSES.get(read_dispute(subject).status or "")
    return _dispute(kind)(subject) if kind else []


_DISPUTE_STATUSES: Mapping[str, Kind] = {
    "open": "dispute_opened",
    "disputed": "dispute_opened",
    "under_review": "dispute_opened",
    "won": "dispute_won",
    "lost": "dispute_lost",
    "accepted": "dispute_lost",
    "auto_accepted": "dispute_lost",
    "expired": "dispute_lost",
}

TYPES: Mapping[str, Callable[["Element"], Facts]] = {
    "transaction_settled": _transaction(_settled),
    "transaction_disbursed": _transaction(_settled),
    "transaction_settlement_declined": _transaction(_settlement_declined),
    "transaction_retried": _transaction(_by_status),
    "refund_failed": _transaction(_refund_failed),
    "subscription_charged_successfully": _transaction(_by_status, NEWEST_CHARGE),
    "subscription_charged_unsuccessfully": _transaction(_by_status, NEWEST_CHARGE),
    "local_payment_completed": _transaction(_by_status, "local-payment/transaction"),
    "local_payment_funded": _transaction(_by_status, "local-payment-funded/transaction"),
    "dispute_opened": _dispute("dispute_opened"),
    "dispute_disputed": _dispute("dispute_opened"),
    "dispute_under_review": _dispute("dispute_opened"),
    "dispute_won": _dispute("dispute_won"),
    "dispute_lost": _dispute("dispute_lost"),
    "dispute_accepted": _dispute("dispute_lost"),
    "dispute_auto_accepted": _dispute("dispute_lost"),
    "dispute_expired": _dispute("dispute_lost"),
}
"""The kinds that report money. All others are recorded, and move nothing: docs/providers/braintree.md says why."""

OBJECTS: Mapping[str, Callable[["Element"], Facts]] = {
    "reconcile.transaction": _transaction(_now),
    "reconcile.dispute": _dispute_now,
}
"""What the API lists, in a notification's form (`providers.braintree.api`)."""
