"""Razorpay's entities, as its events carry them (razorpay.com/docs/webhooks/payloads).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `MoneyEvent`, which holds
amounts to their types.
"""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, Field

from providers.facts import IncompleteError
from providers.models import Currency, Id, Lenient, MinorUnits, Model

EntityT = TypeVar("EntityT")


def _name(event: object) -> object:
    """Accept the name, or an object that has it, as `token.service_provider.failed` is documented."""
    return event.get("name") if isinstance(event, dict) else event


def _none_if_empty(member: object) -> object:
    """Return None for a member without an entity. An empty object may be written as an empty array (`"notes": []`)."""
    entity = member.get("entity") if isinstance(member, dict) else member
    return None if entity in (None, [], {}) else member


EmptyAsNone = Annotated[EntityT | None, BeforeValidator(_none_if_empty)]
"""A member that may be absent, null or empty."""


class AnyEvent(Model):
    """An event of any type. `contains` names the members of `payload`, such as refund and payment."""

    event: Annotated[str, BeforeValidator(_name)]
    contains: Lenient[Annotated[tuple[str, ...], Field(strict=False)]] = ()
    payload: Any = None
    account_id: Any = None
    created_at: Any = None


class Member(Model, Generic[EntityT]):
    """A member of the payload, which wraps one entity."""

    entity: EntityT


class Payment(Model):
    """A payment. Amounts are in the minor units of ISO 4217 ("currency subunits")."""

    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None
    captured: Annotated[bool, Field(strict=False)] | None = None
    """Documented as a boolean, and as "1" in subscription.charged."""


class Refund(Model):
    """A refund of a payment."""

    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None


class Dispute(Model):
    """A dispute about a payment."""

    id: Id
    amount: MinorUnits
    currency: Currency
    status: str | None = None
    amount_deducted: MinorUnits | None = None


class Payload(Model):
    """The entities of an event. The `required_` properties raise IncompleteError where one is missing."""

    payment: EmptyAsNone[Member[Payment]] = None
    refund: EmptyAsNone[Member[Refund]] = None
    dispute: EmptyAsNone[Member[Dispute]] = None

    @property
    def required_payment(self) -> Payment:
        """The payment."""
        return _entity(self.payment, "payment")

    @property
    def required_refund(self) -> Refund:
        """The refund."""
        return _entity(self.refund, "refund")

    @property
    def required_dispute(self) -> Dispute:
        """The dispute."""
        return _entity(self.dispute, "dispute")


def _entity(member: Member[EntityT] | None, name: str) -> EntityT:
    if member is None:
        raise IncompleteError(f"there is no {name} in the payload")
    return member.entity


class MoneyEvent(Model):
    """An event that reports money."""

    payload: Payload
