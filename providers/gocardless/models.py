"""GoCardless' events and objects (developer.gocardless.com/api-reference; gocardless-pro).

A webhook's event names its payment or refund, and no amount. Money is read from a `Confirmed`: the event with the
object that the API has for it.
"""

from datetime import datetime
from typing import Any

from providers.complete import Items, OrEmpty
from providers.facts import IncompleteError
from providers.models import Currency, Id, Lenient, MinorUnits, Model
from providers.payload import first_timestamp, get_path


class Event(Model):
    """An event of any type. Its type is `<resource_type>.<action>`."""

    id: str
    resource_type: str
    action: str
    created_at: Any = None
    links: Any = None

    @property
    def about(self) -> object:
        """The id of the object whose event it is."""
        return get_path(self.links, self.resource_type.removesuffix("s"))


class KnownEvent(Event):
    """An event of a payment's history."""

    id: Id

    @property
    def at(self) -> datetime:
        """When it happened. Raise IncompleteError where it does not say."""
        at = first_timestamp(self.created_at)
        if at is None:
            raise IncompleteError(f"event {self.id} has no time")
        return at


class Payment(Model):
    """A payment. Its amount is in pence, cents and the like, and never changes."""

    id: Id
    amount: MinorUnits
    currency: Currency


class Refund(Payment):
    """A refund of a payment, or one without a payment, which is of a mandate."""

    links: Any = None

    @property
    def payment(self) -> object:
        """The id of its payment."""
        return get_path(self.links, "payment")


class PaymentAnswer(Model):
    """The answer about one payment, under the plural name."""

    payments: Payment


class RefundAnswer(Model):
    """The answer about one refund."""

    refunds: Refund


class History(Model):
    """The answer about the events of one payment."""

    events: Items[KnownEvent] = ()


class AnyBody(Model):
    """What a body has: an event as it was delivered or listed has no `event`."""

    event: Lenient[Event] = None


class ConfirmedPayment(Model):
    """An event of a payment, the payment as the API has it, and, where it matters, what happened before."""

    event: KnownEvent
    payment: PaymentAnswer
    history: OrEmpty[History] = History()


class ConfirmedRefund(Model):
    """An event of a refund, and the refund as the API has it."""

    event: KnownEvent
    refund: RefundAnswer
