"""Checkout.com's events (https://www.checkout.com/docs/workflows/webhook-event-types)."""

from typing import Any

from pydantic import Field

from providers.complete import OrEmpty
from providers.models import Currency, Id, Lenient, MinorUnits, Model


class Subject(Model):
    """The object of an event. Captures, voids and refunds have the payment's id; a dispute names its payment."""

    id: Any = None
    payment_id: Any = None
    processing_channel_id: Any = None


class Event(Model):
    """An event of any type. Its time is `created_on` or `timestamp`, depending on the type."""

    id: str
    type: str
    created_on: Any = None
    timestamp: Any = None
    data: Lenient[Subject] = None
    links: Any = Field(default=None, alias="_links")


class Money(Subject):
    """An amount, in the minor units of Checkout.com."""

    amount: MinorUnits
    currency: Currency


class Balances(Model):
    """The totals of a payment so far. An event may leave some out."""

    total_authorized: MinorUnits | None = None
    total_refunded: MinorUnits | None = None
    available_to_capture: MinorUnits | None = None


class Payment(Money):
    """A payment, or a payout, which alone has a destination."""

    balances: OrEmpty[Balances] = Balances()
    destination: Any = None

    @property
    def is_payout(self) -> bool:
        """Whether money is sent, not taken."""
        return self.destination not in (None, [], {})


class Action(Payment):
    """A payment with the capture or the refund that the event reports."""

    action_id: Id


class Dispute(Money):
    """A dispute."""

    id: Id
    resolved_reason: Any = None


class PaymentEvent(Event):
    """An event about a payment."""

    data: Payment


class ActionEvent(Event):
    """An event about a capture or a refund."""

    data: Action


class DisputeEvent(Event):
    """An event about a dispute."""

    data: Dispute
