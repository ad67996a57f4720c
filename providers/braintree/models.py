"""Braintree's notifications: base64 of XML, amounts as decimal text in major units.

Source: the sample notifications of the braintree package (webhook_testing_gateway.py).
"""

import base64
import binascii
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import Field

from providers.facts import IncompleteError, UnreadableError
from providers.models import Currency, Id, MajorUnits, Model

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SUBJECT = "subject"

NEWEST_CHARGE = "subscription/transactions/transaction"
"""The newest transaction of a subscription comes first."""


SUBMITTED = frozenset({"submitted_for_settlement", "settling", "settled"})
"""The statuses in which a transaction counts as captured, or a refund as made."""


class Money(Model):
    """An object with an amount."""

    id: Id
    amount: MajorUnits
    currency: Currency = Field(alias="currency-iso-code")


class Transaction(Money):
    """A transaction, that is a sale or a refund."""

    type: str | None = None
    status: str | None = None
    was_submitted: bool = False
    """Whether its history says that it was submitted for settlement, once."""

    @property
    def is_refund(self) -> bool:
        """Whether it pays another transaction back."""
        return self.type == "credit"


class Dispute(Money):
    """A dispute of any kind. `amount` is what is disputed, `amount_won` what came back of it."""

    kind: str | None = None
    status: str | None = None
    amount: MajorUnits = Field(alias="amount-disputed")
    amount_won: MajorUnits | None = Field(default=None, alias="amount-won")


def read_notification(payload: bytes) -> "Element":
    """Return the root of the XML. Raise UnreadableError, also for document types, and with them entities."""
    try:
        return read_xml(base64.b64decode(payload.replace(b"\n", b""), validate=True))
    except (binascii.Error, UnreadableError) as error:
        raise UnreadableError(f"the payload is not XML in base64: {error}") from error


def read_xml(document: bytes) -> "Element":
    """Return the root of an XML document. Raise UnreadableError likewise."""
    try:
        root: Element = fromstring(document, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise UnreadableError(type(error).__name__) from error
    return root


def text_at(element: "Element", path: str) -> str | None:
    """Return the text at a path, None where it is absent or blank."""
    text = element.findtext(path)
    return text.strip() or None if text else None


def element_at(element: "Element", path: str) -> "Element":
    """Return the element at a path. Raise UnreadableError where it is absent."""
    found = element.find(path)
    if found is None:
        raise UnreadableError(f"the notification has no {path}")
    return found


def read_transaction(subject: "Element", path: str) -> Transaction:
    """Return the transaction at a path. Raise ValidationError, or IncompleteError where a needed part is left out."""
    texts: dict[str, object] = {**_complete(_texts_at(subject, path), path, "amount")}
    history = subject.iterfind(f"{path}/status-history/status-event/status")
    return Transaction.model_validate({**texts, "was_submitted": any(each.text in SUBMITTED for each in history)})


def read_dispute(subject: "Element") -> Dispute:
    """Return the dispute. Before 2017 there was one amount, the disputed one. Raise likewise."""
    texts = _texts_at(subject, "dispute")
    if "amount" in texts:
        texts.setdefault("amount-disputed", texts["amount"])
    return Dispute.model_validate(_complete(texts, "dispute", "amount-disputed"))


def _texts_at(subject: "Element", path: str) -> dict[str, str]:
    found = subject.find(path)
    if found is None:
        raise IncompleteError(f"the notification has no {path}")
    return _texts(found)


def _complete(texts: dict[str, str], path: str, amount: str) -> dict[str, str]:
    missing = [name for name in ("id", amount, "currency-iso-code") if name not in texts]
    if missing:
        raise IncompleteError(f"the notification's {path} has no {', no '.join(missing)}")
    return texts


def _texts(element: "Element") -> dict[str, str]:
    """Return the texts of an object's own fields, without those that are blank or hold objects."""
    texts = ((child.tag, (child.text or "").strip()) for child in element)
    return {name: text for name, text in texts if text}
