"""Braintree: transactions, charges of subscriptions, local payments, disputes; base64 of XML, amounts in major units.

Source: developer.paypal.com/braintree/docs/reference/general/webhooks, its statuses of transactions and of disputes,
and the sample notifications of the braintree package (webhook_testing_gateway.py).

* A refund is a transaction of its own, of type `credit`, that names the one it gives back.
* Settled and disbursed tell of one movement, as does the charge of a subscription: it is named after the transaction.
* What is submitted for settlement counts as captured: a card's settlement is told by no notification of its own. Where
  a bank returns it, settlement_declined undoes it, also after transaction_settled.
* A dispute's notification does not say what was debited, so it moves no money.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import Field

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.facts import UnreadableError
from providers.models import Currency, Id, MajorUnits, Model

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Told = Sequence[Fact]


class _Money(Model):
    id: Id
    amount: MajorUnits
    currency: Currency = Field(alias="currency-iso-code")

    def fact(self, kind: Kind, *, named: bool = True) -> Fact:
        """A fact about the object itself; `named` where it is the movement or the dispute that has its id."""
        return Fact(kind, minor_units(self.amount, self.currency), self.currency, self.id if named else "")


class _Transaction(_Money):
    type: str | None = None
    status: str | None = None

    @property
    def gives_back(self) -> bool:
        """Whether it is a refund."""
        return self.type == "credit"


class _Dispute(_Money):
    kind: str | None = None
    amount: MajorUnits = Field(alias="amount-disputed")


def extract_facts(event: Event) -> Told:
    """What the subject of the notification tells, as its kind says."""
    tell = TYPES.get(event.type)
    return tell(_subject(event.body)) if tell else ()


def _subject(body: bytes) -> "Element":
    """Document types, and with them entities, are refused, as by the gateway."""
    try:
        root: Element = fromstring(base64.b64decode(body.replace(b"\n", b""), validate=True), forbid_dtd=True)
    except (binascii.Error, ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise UnreadableError(f"the payload is not XML in base64: {type(error).__name__}") from error
    return _inside(root, "subject")


def _inside(element: "Element", place: str) -> "Element":
    found = element.find(place)
    if found is None:
        raise UnreadableError(f"the notification has no {place}")
    return found


def _values(element: "Element") -> dict[str, str]:
    """The texts directly within an object; what is nil or holds objects itself is left out."""
    texts = ((child.tag, (child.text or "").strip()) for child in element)
    return {name: text for name, text in texts if text}


def _transaction(tell: Callable[[_Transaction], Told], place: str = "transaction") -> Callable[["Element"], Told]:
    return lambda subject: tell(_Transaction.model_validate(_values(_inside(subject, place))))


def _settled(transaction: _Transaction) -> Told:
    return [transaction.fact("refunded" if transaction.gives_back else "captured")]


def _settlement_declined(transaction: _Transaction) -> Told:
    if transaction.gives_back:
        return _refund_failed(transaction)
    return [transaction.fact("failed", named=False), transaction.fact("capture_failed")]


def _refund_failed(transaction: _Transaction) -> Told:
    return [transaction.fact("refund_failed")]


_REACHED: Mapping[str, Kind] = {
    "authorizing": "pending",
    "settlement_pending": "pending",
    "authorized": "authorized",
    "submitted_for_settlement": "captured",
    "settling": "captured",
    "settlement_confirmed": "captured",
    "settled": "captured",
    "processor_declined": "failed",
    "gateway_rejected": "failed",
    "failed": "failed",
    "voided": "canceled",
    "authorization_expired": "canceled",
}


def _as_its_status_says(transaction: _Transaction) -> Told:
    if transaction.status == "settlement_declined":
        return _settlement_declined(transaction)
    kind = _REACHED.get(transaction.status or "")
    return [transaction.fact(kind, named=kind == "captured")] if kind else []


def _dispute(kind: Kind) -> Callable[["Element"], Told]:
    """A retrieval is a bank asking for papers: nothing is disputed yet. A chargeback that follows has another id."""

    def tell(subject: "Element") -> Told:
        values = _values(_inside(subject, "dispute"))
        # Before 2017 there was one amount, and it was the disputed one.
        dispute = _Dispute.model_validate({"amount-disputed": values.get("amount"), **values})
        return [] if dispute.kind == "retrieval" else [dispute.fact(kind)]

    return tell


NEWEST_CHARGE = "subscription/transactions/transaction"
"""The first is the newest; the gateway names the payment after the same one."""

TYPES: Mapping[str, Callable[["Element"], Told]] = {
    "transaction_settled": _transaction(_settled),
    "transaction_disbursed": _transaction(_settled),
    "transaction_settlement_declined": _transaction(_settlement_declined),
    "transaction_retried": _transaction(_as_its_status_says),
    "refund_failed": _transaction(_refund_failed),
    "subscription_charged_successfully": _transaction(_as_its_status_says, NEWEST_CHARGE),
    "subscription_charged_unsuccessfully": _transaction(_as_its_status_says, NEWEST_CHARGE),
    "local_payment_completed": _transaction(_as_its_status_says, "local-payment/transaction"),
    "local_payment_funded": _transaction(_as_its_status_says, "local-payment-funded/transaction"),
    "dispute_opened": _dispute("dispute_opened"),
    "dispute_disputed": _dispute("dispute_opened"),
    "dispute_under_review": _dispute("dispute_opened"),
    "dispute_won": _dispute("dispute_won"),
    "dispute_lost": _dispute("dispute_lost"),
    "dispute_accepted": _dispute("dispute_lost"),
    "dispute_auto_accepted": _dispute("dispute_lost"),
    "dispute_expired": _dispute("dispute_lost"),
}
"""The kinds that tell about money. All others are recorded, and move nothing."""
