"""Mollie's next-generation webhooks: payments, captures, refunds and chargebacks, amounts in major units as text.

Sources: docs.mollie.com/reference/payments-api-webhooks, captures-api-webhooks, refunds-api-webhooks and
chargebacks-api-webhooks; docs.mollie.com/payments/multicurrency (its decimal places are those of ISO 4217). The entity
comes in `_embedded.entity`. A webhook that is set up for "simple" payloads only names the entity: nothing is booked.

`amountRefunded` of a payment is not read: it grows when a refund is made, and a refund may be queued for days and be
canceled before any money leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete_json
from providers.mollie import fetched
from providers.mollie.models import Entity, EntityEvent


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts about the entity. Raise IncompleteError where the event only names it."""
    if event.signed == "api":
        return fetched.extract_facts(event)
    extract = TYPES.get(event.type)
    return extract(read_complete_json(EntityEvent, event.body).embedded.entity) if extract else ()


def _fact(kind: Kind, entity: Entity, object_: str = "") -> Fact:
    amount = entity.amount
    return Fact(kind, minor_units(amount.value, amount.currency), amount.currency, object_)


def _payment(kind: Kind) -> Callable[[Entity], list[Fact]]:
    return lambda payment: [_fact(kind, payment)]


def _named(*kinds: Kind) -> Callable[[Entity], list[Fact]]:
    """Facts that are named by the entity's own id: of a capture, a refund or a chargeback."""
    return lambda entity: [_fact(kind, entity, entity.id) for kind in kinds]


def _captured(entity: Entity) -> list[Fact]:
    return [replace(_fact("captured", entity, entity.id), either_whole_or_parts=True)]


def _paid(payment: Entity) -> list[Fact]:
    """Return a capture of the whole payment, named by the payment's id, unless captures have events of their own.

    Version 0.2 always returned it; and should a payment not say that it has captures, they are the same money.
    """
    return [_fact("authorized", payment)] if payment.has_captures else _captured(payment)


TYPES: Mapping[str, Callable[[Entity], Sequence[Fact]]] = {
    "payment.pending": _payment("pending"),
    "payment.authorized": _payment("authorized"),
    "payment.paid": _paid,
    "payment.failed": _payment("failed"),
    "payment.canceled": _payment("canceled"),
    "payment.expired": _payment("canceled"),
    "capture.succeeded": _captured,
    "refund.refunded": _named("refunded"),
    "refund.failed": _named("refund_failed"),
    "chargeback.received": _named("dispute_opened", "funds_withdrawn"),
    "chargeback.reversed": _named("dispute_won", "funds_withdrawn", "funds_reinstated"),
}
"""The types that report money. All others are recorded, and move nothing.

A refund that is queued, pending, processing or canceled has not reached the customer, and a capture that failed was an
attempt that moved nothing; a refund that failed had been processed, and comes back. A chargeback is taken from the
balance when it is received. Mollie never says that one is final. A paid payment link has a payment with its own events.
"""
