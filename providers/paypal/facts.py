"""PayPal: captures, authorizations, refunds, orders and disputes of its second API, and sales of its first.

Source: developer.paypal.com/api/rest/webhooks/event-names, and the objects of its Payments v1 and v2, Orders v2 and
Customer Disputes v1. Amounts are decimal text; HUF, JPY and TWD are written without decimals, which is the same money
in ISO 4217's minor units, where HUF and TWD have two digits (developer.paypal.com/reference/currency-codes).

* The payment is the capture, for that is all that its refunds and disputes name. An authorization is a row of its own:
  an event of it names no capture, and a refund of what was captured names no authorization.
* Capture, refund and sale have ids of their own, so each movement is named after its object.
* The first API writes what goes back with a minus.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.models import Currency, Id, MajorUnits, Model, loads_decimal

Told = Sequence[Fact]


class _Money(Model):
    """`value` and `currency_code` in the second API, `total` or `value` and `currency` in the first."""

    value: MajorUnits = Field(validation_alias=AliasChoices("value", "total"))
    currency: Currency = Field(validation_alias=AliasChoices("currency_code", "currency"))


def _without_minus(amount: object) -> object:
    return amount.removeprefix("-") if isinstance(amount, str) else amount


class _MoneyBack(_Money):
    value: Annotated[MajorUnits, BeforeValidator(_without_minus)] = Field(
        validation_alias=AliasChoices("value", "total")
    )


class _Payment(Model):
    """A capture, an authorization or a sale."""

    id: Id
    amount: _Money
    status: str = Field("", validation_alias=AliasChoices("status", "state"))


class _Breakdown(Model):
    total_refunded_amount: _Money | None = None


class _Refund(Model):
    id: Id
    amount: _MoneyBack
    status: str = Field("", validation_alias=AliasChoices("status", "state"))
    seller_payable_breakdown: _Breakdown = _Breakdown()
    total_refunded_amount: _Money | None = None
    """Where the first API has it."""

    @property
    def total(self) -> _Money | None:
        """All refunds so far of the capture or sale."""
        return self.seller_payable_breakdown.total_refunded_amount or self.total_refunded_amount


class _Payments(Model):
    captures: Sequence[_Payment] = ()


class _Unit(Model):
    payments: _Payments = _Payments()


class _Order(Model):
    purchase_units: Sequence[_Unit]


class _Outcome(Model):
    outcome_code: str = ""


class _Dispute(Model):
    dispute_id: Id
    dispute_amount: _Money
    status: str = ""
    dispute_outcome: _Outcome = _Outcome()


class _Event(Model):
    resource: Mapping[str, object]


def extract_facts(event: Event) -> Told:
    """A refund's event is about the payment, and tells of nothing but the refund."""
    tell = TYPES.get(event.type)
    return tell(event, _Event.model_validate(loads_decimal(event.body)).resource) if tell else ()


def _fact(kind: Kind, money: _Money, object_: str = "") -> Fact:
    return Fact(kind, minor_units(money.value, money.currency), money.currency, object_)


def _capture_facts(capture: _Payment, kind: Kind) -> Told:
    return [_fact(kind, capture.amount, capture.id if kind == "captured" else "")]


def _payment(kind: Kind) -> Callable[[Event, Mapping[str, object]], Told]:
    return lambda _, resource: _capture_facts(_Payment.model_validate(resource), kind)


_AUTHORIZED: Mapping[str, Kind] = {"PENDING": "pending", "DENIED": "failed"}


def _authorization(_: Event, resource: Mapping[str, object]) -> Told:
    """One that PayPal is reviewing is created as well; it can be denied later."""
    authorization = _Payment.model_validate(resource)
    return [_fact(_AUTHORIZED.get(authorization.status.upper(), "authorized"), authorization.amount)]


def _refund(_: Event, resource: Mapping[str, object]) -> Told:
    """A pending refund, as of an eCheck that has not cleared, has moved nothing yet, and can still fail.

    A reversal is PayPal taking the money back, for a chargeback or a dispute: it is a refund to the customer that the
    merchant did not make, and all that moves money for a dispute.
    """
    refund = _Refund.model_validate(resource)
    status = refund.status.upper()
    if status == "PENDING":
        return []
    if status in ("FAILED", "CANCELLED"):
        return [_fact("refund_failed", refund.amount, refund.id)]
    total = [_fact("refunded_total", refund.total)] if refund.total else []
    return [_fact("refunded", refund.amount, refund.id), *total]


_CAPTURED: Mapping[str, Kind] = {
    "COMPLETED": "captured",
    "PARTIALLY_REFUNDED": "captured",
    "REFUNDED": "captured",
    "PENDING": "pending",
    "DECLINED": "failed",
    "FAILED": "failed",
}


def _order(event: Event, resource: Mapping[str, object]) -> Told:
    """What the capture's own event tells as well. An order of several captures is about itself, and leaves it to them.

    Before it is captured, an order tells nothing: a row of it would stay pending for ever, since what is paid in the
    end is booked with the capture.
    """
    units = _Order.model_validate(resource).purchase_units
    captures = [each for unit in units for each in unit.payments.captures if each.id == event.resource]
    kinds = ((each, _CAPTURED.get(each.status.upper())) for each in captures)
    return [fact for each, kind in kinds if kind for fact in _capture_facts(each, kind)]


_RESOLVED: Mapping[str, Kind] = {
    "RESOLVED_BUYER_FAVOUR": "dispute_lost",
    "ACCEPTED": "dispute_lost",
    "RESOLVED_SELLER_FAVOUR": "dispute_won",
    "RESOLVED_WITH_PAYOUT": "dispute_won",  # PayPal pays, and the merchant keeps the money
    "CANCELED_BY_BUYER": "dispute_won",
    "DENIED": "dispute_won",
    "NONE": "dispute_won",  # closed without a decision, for a later one about the same transaction
}


def _dispute(event: Event, resource: Mapping[str, object]) -> Told:
    """An update is of an open dispute or of a resolved one. What money moves, refunds and reversals tell."""
    dispute = _Dispute.model_validate(resource)
    resolved = event.type == "CUSTOMER.DISPUTE.RESOLVED" or dispute.status == "RESOLVED"
    kind = _RESOLVED.get(dispute.dispute_outcome.outcome_code) if resolved else "dispute_opened"
    return [_fact(kind, dispute.dispute_amount, dispute.dispute_id)] if kind else []


TYPES: Mapping[str, Callable[[Event, Mapping[str, object]], Told]] = {
    "PAYMENT.AUTHORIZATION.CREATED": _authorization,
    "PAYMENT.AUTHORIZATION.VOIDED": _payment("canceled"),
    "PAYMENT.CAPTURE.PENDING": _payment("pending"),
    "PAYMENT.CAPTURE.COMPLETED": _payment("captured"),
    "PAYMENT.CAPTURE.DENIED": _payment("failed"),
    "PAYMENT.CAPTURE.DECLINED": _payment("failed"),
    "PAYMENT.CAPTURE.REFUNDED": _refund,
    "PAYMENT.CAPTURE.REVERSED": _refund,
    "PAYMENT.REFUND.PENDING": _refund,
    "PAYMENT.REFUND.COMPLETED": _refund,
    "PAYMENT.REFUND.FAILED": _refund,
    "PAYMENT.SALE.PENDING": _payment("pending"),
    "PAYMENT.SALE.COMPLETED": _payment("captured"),
    "PAYMENT.SALE.DENIED": _payment("failed"),
    "PAYMENT.SALE.REFUNDED": _refund,
    "PAYMENT.SALE.REVERSED": _refund,
    "CHECKOUT.ORDER.COMPLETED": _order,
    "CUSTOMER.DISPUTE.CREATED": _dispute,
    "CUSTOMER.DISPUTE.UPDATED": _dispute,
    "CUSTOMER.DISPUTE.RESOLVED": _dispute,
}
"""The types that tell about money. All others are recorded, and move nothing."""
