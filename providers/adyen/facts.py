"""Adyen's standard webhooks: payments, captures, refunds and disputes.

Sources: github.com/Adyen/adyen-openapi, yaml/Webhooks-v1.yaml (the meaning of each event code, with examples);
docs.adyen.com: online-payments/capture and /refund, risk-management/disputes-api/dispute-notifications ("all events
related to a dispute have the same PSP reference"), marketplaces/split-transactions/split-chargebacks (which of them
move the disputed amount), development-resources/currency-codes (amounts).

* Every capture, refund and dispute has a PSP reference of its own, and names the payment in originalReference. CAPTURE
  and CAPTURE_FAILED, or REFUND, REFUND_FAILED and REFUNDED_REVERSED, report one request: their `pspReference` is the
  request's, and so names the capture or the refund.
* `success` is "false" where a request was refused: nothing moved. A refused authorisation is a failed payment.
* A capture or refund moves money when the request is accepted. When the card scheme rejects it later, CAPTURE_FAILED or
  REFUND_FAILED (whose success is "true") undoes it.
* CHARGEBACK withdraws the disputed amount. CHARGEBACK_REVERSED reinstates it, which "is not final": SECOND_CHARGEBACK
  withdraws it again under the same PSP reference, so that its transfer has a name of its own. Other ends of a dispute
  move nothing.
* AUTHORISATION_ADJUSTMENT states the new total, under a PSP reference of its own. With automatic capture, the capture
  is of the newest total, unless the payment is canceled, or a part of it captured, before.
* All that is read is signed, except whether CANCEL_OR_REFUND canceled or refunded, which only additionalData says.
"""

from collections.abc import Mapping, Sequence

from contract.event import Event
from contract.facts import ABOUT_THE_PAYMENT, Fact, Kind
from contract.money import BIGINT_MAX
from providers.adyen.models import SECOND_CHARGEBACK_SUFFIX, Money, MoneyItem, MoneyNotification
from providers.complete import read_complete_json
from providers.facts import IncompleteError, UnreadableError

_FINER = {"CLP": 100, "ISK": 100}
"""Currencies with two decimals at Adyen, and none in ISO 4217."""

_COARSER = {"CVE": 100, "IDR": 100}
"""Currencies with no decimals at Adyen, and two in ISO 4217."""


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts of the item's event code, if the request that the item reports was accepted."""
    kinds = TYPES.get(event.type)
    if kinds is None:
        return ()
    item = read_complete_json(MoneyNotification, event.body).item
    if item.success == "false":
        return (_fact("failed", item, event.type),) if event.type == "AUTHORISATION" else ()
    if event.type == "CANCEL_OR_REFUND":
        kinds = (_canceled_or_refunded(item),)
    return tuple(_fact(kind, item, event.type) for kind in kinds)


def _canceled_or_refunded(item: MoneyItem) -> Kind:
    kind = _ACTIONS.get(item.additional_data.action) if item.additional_data else None
    if kind is None:
        raise IncompleteError("additionalData does not say whether the payment was canceled or refunded")
    return kind


def _fact(kind: Kind, item: MoneyItem, type_: str) -> Fact:
    reference = item.psp_reference
    object_ = "" if kind in ABOUT_THE_PAYMENT and type_ != "AUTHORISATION_ADJUSTMENT" else reference
    amount = item.amount
    if type_ == "SECOND_CHARGEBACK" and kind == "funds_withdrawn":
        again = reference + SECOND_CHARGEBACK_SUFFIX
        return Fact(kind, _iso_units(amount), amount.currency, again, dispute=reference)
    return Fact(kind, _iso_units(amount), amount.currency, object_)


def _iso_units(amount: Money) -> int:
    """Return the amount in minor units of ISO 4217, which differ from Adyen's in four currencies."""
    whole, rest = divmod(amount.value * _COARSER.get(amount.currency, 1), _FINER.get(amount.currency, 1))
    if rest or whole > BIGINT_MAX:
        raise UnreadableError(f"the amount cannot be written in the minor units that ISO 4217 gives {amount.currency}")
    return whole


_ACTIONS: Mapping[str | None, Kind] = {"cancel": "canceled", "refund": "refunded"}

TYPES: Mapping[str, tuple[Kind, ...]] = {
    "PENDING": ("pending",),
    "AUTHORISATION": ("authorized",),
    "AUTHORISATION_ADJUSTMENT": ("authorized",),  # the amount is the new total
    "OFFER_CLOSED": ("failed",),  # the shopper never paid
    "EXPIRE": ("canceled",),  # what is not captured cannot be captured now; captures stay
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
"""The event codes that report money, once the request is accepted. All others are recorded, and move nothing:
POSTPONED_REFUND waits for the capture, VOID_PENDING_REFUND ends a refund that was not made, REQUEST_FOR_INFORMATION and
NOTIFICATION_OF_FRAUD precede a dispute, and the payments of ORDER_OPENED and ORDER_CLOSED have events of their own."""
