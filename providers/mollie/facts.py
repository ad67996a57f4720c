"""Mollie's next-generation webhooks: payments, captures, refunds and chargebacks, amounts in major units as text.

Sources: docs.mollie.com/reference/payments-api-webhooks, captures-api-webhooks, refunds-api-webhooks and
chargebacks-api-webhooks; docs.mollie.com/payments/multicurrency (its decimal places are those of ISO 4217). The entity
comes in `_embedded.entity`. A webhook that is set up for "simple" payloads names the entity and says nothing about it,
and so tells nothing here either.

`amountRefunded` of a payment is not read: it grows when a refund is made, and a refund may be queued for days and be
canceled before any money leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.models import Currency, Id, MajorUnits, Model


class _Amount(Model):
    value: MajorUnits
    currency: Currency


class _Entity(Model):
    """The parts of a payment, a capture, a refund or a chargeback that tell about money."""

    id: Id
    amount: _Amount
    capture_mode: str | None = Field(default=None, alias="captureMode")
    links: Mapping[str, Any] = Field(default={}, alias="_links")

    @property
    def captured_apart(self) -> bool:
        """Whether it was authorized first, and each of its captures is an object with events of its own."""
        return self.capture_mode == "manual" or "captures" in self.links

    def fact(self, kind: Kind, object_: str = "") -> Fact:
        """Tells `kind` of it, with its amount."""
        return Fact(kind, minor_units(self.amount.value, self.amount.currency), self.amount.currency, object_)


class _Embedded(Model):
    entity: _Entity


class _Event(Model):
    embedded: _Embedded | None = Field(default=None, alias="_embedded")


def extract_facts(event: Event) -> Sequence[Fact]:
    """What the entity tells, where the event holds it."""
    tell = TYPES.get(event.type)
    embedded = _Event.model_validate_json(event.body).embedded if tell else None
    return tell(embedded.entity) if tell and embedded else ()


def _payment(kind: Kind) -> Callable[[_Entity], list[Fact]]:
    return lambda payment: [payment.fact(kind)]


def _movement(*kinds: Kind) -> Callable[[_Entity], list[Fact]]:
    return lambda entity: [entity.fact(kind, entity.id) for kind in kinds]


def _paid(payment: _Entity) -> list[Fact]:
    """Captured at once and whole, so the movement has the payment's name, unless captures tell for themselves."""
    if payment.captured_apart:
        return [payment.fact("authorized")]
    return [payment.fact("captured", payment.id)]


TYPES: dict[str, Callable[[_Entity], Sequence[Fact]]] = {
    "payment.pending": _payment("pending"),
    "payment.authorized": _payment("authorized"),
    "payment.paid": _paid,
    "payment.failed": _payment("failed"),
    "payment.canceled": _payment("canceled"),
    "payment.expired": _payment("canceled"),
    "capture.succeeded": _movement("captured"),
    "refund.refunded": _movement("refunded"),
    "refund.failed": _movement("refund_failed"),
    "chargeback.received": _movement("dispute_opened", "funds_withdrawn"),
    "chargeback.reversed": _movement("dispute_won", "funds_reinstated"),
}
"""The types that tell about money. All others are recorded, and move nothing.

A refund that is queued, pending, processing or canceled has not reached the customer, and a capture that failed was an
attempt that moved nothing; a refund that failed had been processed, and comes back. A chargeback is taken from the
balance when it is received. Mollie never says that one is final. A paid payment link has a payment, whose events tell.
"""
