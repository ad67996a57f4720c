"""The fact that a handler receives with the event, and idempotency keys for its requests to other systems."""

import uuid
from dataclasses import dataclass

from contract.event import Event
from contract.facts import ABOUT_THE_PAYMENT, DISPUTE_KINDS, Fact, Kind

KEY_SPACE = uuid.UUID("5d0e4bd6-5c2e-4f0b-9a55-0c1b8a1d3c6e")
"""The namespace of the UUIDs, so that no other program derives the same keys from the same names."""


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """Something that has just become true of a payment, for the first time. `amount` is in minor units of `currency`.

    `object` is the id of the capture, refund or dispute, and "" if the fact is about the payment itself. For money that
    moved because of a dispute it is the id of the transfer, and `dispute` is the dispute; otherwise `dispute` is "".
    `idempotency_key` is the same whichever event reports the fact, and in every retry: pass it to other systems.
    """

    kind: Kind
    payment_id: str
    amount: int
    currency: str
    object: str
    idempotency_key: str
    dispute: str = ""


def idempotency_key(event: Event) -> str:
    """Return a UUID for a handler's requests to other systems because of this event: the same in every retry."""
    return str(uuid.uuid5(KEY_SPACE, f"event:{event.namespace}:{event.event_id}"))


def payment_fact(event: Event, fact: Fact) -> PaymentFact:
    """Return the fact as a handler receives it."""
    payment_id = fact.payment or event.resource
    object_ = "" if fact.kind in ABOUT_THE_PAYMENT else fact.object
    name = f"fact:{event.namespace}:{fact.kind}:{object_ or payment_id}"
    return PaymentFact(
        fact.kind,
        payment_id,
        fact.amount,
        fact.currency,
        object_,
        str(uuid.uuid5(KEY_SPACE, name)),
        fact.dispute_id if fact.kind in DISPUTE_KINDS else "",
    )
