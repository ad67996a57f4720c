"""Adyen's standard webhooks. An event's body is one item of a batch.

Sources: github.com/Adyen/adyen-openapi, yaml/Webhooks-v1.yaml (what each event code means, with examples);
docs.adyen.com: online-payments/capture and /refund, risk-management/disputes-api/dispute-notifications ("all events
related to a dispute have the same PSP reference"), marketplaces/split-transactions/split-chargebacks (which of them
move the disputed amount), development-resources/currency-codes (amounts).

* Every capture, refund and dispute has a PSP reference of its own, and names the payment in originalReference. CAPTURE
  and CAPTURE_FAILED, or REFUND, REFUND_FAILED and REFUNDED_REVERSED, tell of one request: `pspReference` is the
  request's in all of them, and so names the movement.
* `success` is "false" where a request was refused: nothing moved. Of an authorisation it says that the payment failed.
* A capture or refund moves money when the request is accepted. When the card scheme rejects it later, CAPTURE_FAILED or
  REFUND_FAILED (whose success is "true") takes it back.
* CHARGEBACK takes the disputed amount and CHARGEBACK_REVERSED brings it back, which "is not final": SECOND_CHARGEBACK
  takes it again, under the same PSP reference, and so is told as a dispute of its own. Whatever else ends a dispute
  moves nothing.
* All that is read is signed, except whether CANCEL_OR_REFUND canceled or refunded, which only additionalData says.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from contract.event import TEXT_CHARS_MAX, Event
from contract.facts import Fact, Kind
from contract.money import BIGINT_MAX
from providers.facts import UnreadableError
from providers.models import Currency, Id, MinorUnits, Model

SECOND = ":2"
"""Added to a dispute's PSP reference for its second chargeback, which is about the same money (`restate_disputed`). No
PSP reference has a colon."""

_FINER = {"CLP": 100, "ISK": 100}
"""Adyen counts these with two decimals, ISO 4217 with none."""

_COARSER = {"CVE": 100, "IDR": 100}
"""Adyen counts these with no decimals, ISO 4217 with two."""


class _Amount(Model):
    value: MinorUnits
    currency: Currency


class _AdditionalData(Model):
    action: str | None = Field(default=None, alias="modification.action")


class _Item(Model):
    pspReference: Annotated[Id, Field(max_length=TEXT_CHARS_MAX - len(SECOND))]  # noqa: N815 - Adyen's spelling
    amount: _Amount
    success: Literal["true", "false"]
    additionalData: _AdditionalData | None = None  # noqa: N815


class _Notification(Model):
    NotificationRequestItem: _Item


def extract_facts(event: Event) -> Sequence[Fact]:
    """What the item's event code says of the money, if the request it tells of was accepted."""
    kinds = TYPES.get(event.type)
    if kinds is None:
        return ()
    item = _Notification.model_validate_json(event.body).NotificationRequestItem
    if item.success == "false":
        return (_fact("failed", item, event.type),) if event.type == "AUTHORISATION" else ()
    if event.type == "CANCEL_OR_REFUND":
        kinds = (_what_it_did(item),)
    return tuple(_fact(kind, item, event.type) for kind in kinds)


def _what_it_did(item: _Item) -> Kind:
    action = item.additionalData.action if item.additionalData else None
    if action not in _ACTIONS:
        raise UnreadableError("additionalData does not say whether the payment was canceled or refunded")
    return _ACTIONS[action]


def _fact(kind: Kind, item: _Item, type_: str) -> Fact:
    dispute = item.pspReference + SECOND if type_ == "SECOND_CHARGEBACK" else item.pspReference
    return Fact(kind, _iso_units(item.amount), item.amount.currency, "" if kind in _ABOUT_THE_PAYMENT else dispute)


def _iso_units(amount: _Amount) -> int:
    """The amount in minor units of ISO 4217, from which Adyen's differ in four currencies."""
    whole, rest = divmod(amount.value * _COARSER.get(amount.currency, 1), _FINER.get(amount.currency, 1))
    if rest or whole > BIGINT_MAX:
        raise UnreadableError(f"the amount cannot be written in the minor units that ISO 4217 gives {amount.currency}")
    return whole


_ABOUT_THE_PAYMENT: frozenset[Kind] = frozenset({"pending", "authorized", "failed", "canceled"})

_ACTIONS: Mapping[str | None, Kind] = {"cancel": "canceled", "refund": "refunded"}

TYPES: Mapping[str, tuple[Kind, ...]] = {
    "PENDING": ("pending",),
    "AUTHORISATION": ("authorized",),
    "AUTHORISATION_ADJUSTMENT": ("authorized",),  # the amount is the new one, whole
    "OFFER_CLOSED": ("failed",),  # the shopper never paid
    "EXPIRE": ("canceled",),  # what was not captured cannot be any more; what was captured stays so
    "CANCELLATION": ("canceled",),
    "TECHNICAL_CANCEL": ("canceled",),
    "CANCEL_OR_REFUND": ("canceled", "refunded"),  # one of them
    "CAPTURE": ("captured",),
    "CAPTURE_FAILED": ("capture_failed",),
    "REFUND": ("refunded",),
    "REFUND_WITH_DATA": ("refunded",),  # to a card, not of a payment
    "REFUND_FAILED": ("refund_failed",),
    "REFUNDED_REVERSED": ("refund_failed",),
    "NOTIFICATION_OF_CHARGEBACK": ("dispute_opened",),
    "CHARGEBACK": ("dispute_opened", "funds_withdrawn"),
    "CHARGEBACK_REVERSED": ("funds_reinstated",),
    "SECOND_CHARGEBACK": ("dispute_lost", "funds_withdrawn"),
    "DISPUTE_DEFENSE_PERIOD_ENDED": ("dispute_lost",),  # not defended in time, or accepted
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": ("dispute_won",),
    "PREARBITRATION_WON": ("dispute_won",),
    "PREARBITRATION_ISSUER_WITHDRAWN": ("dispute_won",),
    "PREARBITRATION_LOST": ("dispute_lost",),
    "SCHEME_ARBITRATION_WON": ("dispute_won",),
    "SCHEME_ARBITRATION_LOST": ("dispute_lost",),
}
"""What an accepted request tells. All other event codes are recorded, and move nothing: POSTPONED_REFUND waits for the
capture, VOID_PENDING_REFUND ends what was not made, REQUEST_FOR_INFORMATION and NOTIFICATION_OF_FRAUD come before any
dispute, ORDER_OPENED and ORDER_CLOSED tell of payments that have events of their own."""
