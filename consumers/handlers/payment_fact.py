"""What a handler is told beside the event: the fact, and keys for what it asks of other systems."""

import uuid
from dataclasses import dataclass

from contract.event import Event
from contract.facts import Fact, Kind

KEY_SPACE = uuid.UUID("5d0e4bd6-5c2e-4f0b-9a55-0c1b8a1d3c6e")
"""Makes idempotency keys differ from what others make of the same names."""


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """What has just become true of a payment, for the first time. `amount` is in minor units of `currency`.

    `object` is the id of the capture, refund or dispute, "" for what is about the payment itself. `idempotency_key` is
    the same whichever event tells of it, and however often it is tried: pass it on to other systems.
    """

    kind: Kind
    payment_id: str
    amount: int
    currency: str
    object: str
    idempotency_key: str


def idempotency_key(event: Event) -> str:
    """A UUID for what a handler asks of other systems because of this event: the same however often it is tried."""
    return str(uuid.uuid5(KEY_SPACE, f"event:{event.namespace}:{event.event_id}"))


def payment_fact(event: Event, fact: Fact) -> PaymentFact:
    """The fact as a handler is told of it."""
    name = f"fact:{event.namespace}:{fact.kind}:{fact.object or event.resource}"
    return PaymentFact(
        fact.kind, event.resource, fact.amount, fact.currency, fact.object, str(uuid.uuid5(KEY_SPACE, name))
    )
