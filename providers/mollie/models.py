"""Mollie's events (docs.mollie.com/reference/webhooks-new) and the objects of its API, which are the same."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from providers.complete import Items, OrEmpty, OrNone
from providers.models import Currency, Id, Lenient, MajorUnits, Model

FETCHED_PAYMENT, FETCHED_REFUND, FETCHED_CHARGEBACK = "reconcile.payment", "reconcile.refund", "reconcile.chargeback"
"""The types of what the API said."""


class Subject(Model):
    """The object of an event. What belongs to a payment names it."""

    payment_id: Any = Field(default=None, alias="paymentId")
    mode: Lenient[str] = None
    profile_id: Any = Field(default=None, alias="profileId")


class Embedded(Model):
    """The object itself."""

    entity: Lenient[Subject] = None


class Event(Model):
    """An event of any type. `_embedded` is absent where the webhook is set up to send simple payloads."""

    id: str
    type: str
    entity_id: Any = Field(default=None, alias="entityId")
    created_at: Any = Field(default=None, alias="createdAt")
    embedded: Lenient[Embedded] = Field(default=None, alias="_embedded")


class Amount(Model):
    """An amount as decimal text in major units."""

    value: MajorUnits
    currency: Currency


class Entity(Subject):
    """The common parts of a payment, a capture, a refund and a chargeback."""

    id: Id
    amount: Amount
    capture_mode: Any = Field(default=None, alias="captureMode")
    capture_delay: Any = Field(default=None, alias="captureDelay")
    authorized_at: Any = Field(default=None, alias="authorizedAt")
    amount_captured: Any = Field(default=None, alias="amountCaptured")
    links: Lenient[Mapping[str, Any]] = Field(default=None, alias="_links")

    @property
    def has_captures(self) -> bool:
        """Whether a payment was authorized first, and each of its captures is an object with events of its own.

        It was if it is captured by hand or after a delay, says when it was authorized or how much of it is captured
        ("only available when this payment supports captures"), or names its captures.
        """
        waited = self.capture_mode == "manual" or self.capture_delay or self.authorized_at or self.amount_captured
        return bool(waited) or "captures" in (self.links or {})


class EmbeddedEntity(Embedded):
    """The object that has an amount."""

    entity: Entity


class EntityEvent(Event):
    """An event about a payment, a capture, a refund or a chargeback."""

    embedded: EmbeddedEntity = Field(alias="_embedded")


class Part(Subject):
    """A capture, a refund or a chargeback, as the API has it. A chargeback has no status, a capture maybe no amount."""

    id: Id
    amount: OrNone[Amount] = None
    status: Lenient[str] = None
    reversed_at: Any = Field(default=None, alias="reversedAt")
    created_at: Any = Field(default=None, alias="createdAt")


class Parts(Model):
    """What is embedded in a payment, if it was asked for."""

    captures: Items[Part] = ()
    refunds: Items[Part] = ()
    chargebacks: Items[Part] = ()


class Payment(Entity):
    """A payment, as the API has it."""

    status: str
    amount_captured: Lenient[Amount] = Field(default=None, alias="amountCaptured")
    created_at: Any = Field(default=None, alias="createdAt")
    embedded: OrEmpty[Parts] = Field(default=Parts(), alias="_embedded")


class Made(Model):
    """An object of a list: which one it is, and when it was made."""

    id: Id
    created_at: Any = Field(default=None, alias="createdAt")
