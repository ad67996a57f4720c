"""Which event a body is, and which payment it is about: the same for what is delivered and for what is listed."""

from providers.account import first_account, mode_of_flag
from providers.base import ParsedEvent
from providers.payload import read_json, time_from_iso, time_from_unix
from providers.stripe.models import AnyData, AnyEvent, AnyObject

_NO_OBJECT = AnyObject()


def parse_event(body: bytes) -> ParsedEvent:
    """Return the event of a body. Raise PayloadError."""
    event = read_json(AnyEvent, body)
    created = event.created
    occurred_at = time_from_iso(created) if isinstance(created, str) else time_from_unix(created)
    mode, account = mode_of_flag(event.livemode), first_account(event.account, event.context)
    return ParsedEvent(event.id, event.type, payment_of(event), occurred_at, mode=mode, account=account)


def payment_of(event: AnyEvent) -> str:
    """Return the id of the payment: the payment intent, else the charge, else what the event is about.

    Charges, refunds and disputes name their payment intent, so all events of a payment are processed together. An old
    refund or dispute may name only its charge; where that is expanded, it names the payment intent.
    """
    about = event.data.object if isinstance(event.data, AnyData) else None
    if not isinstance(about, AnyObject):
        about = _NO_OBJECT
    charge = about.charge
    expanded = charge.get("payment_intent") if isinstance(charge, dict) else None
    for reference in (about.payment_intent, expanded, charge, about.id, related_id(event)):
        id_ = reference.get("id") if isinstance(reference, dict) else reference
        if id_ and isinstance(id_, str):
            return id_
    return event.id


def related_id(event: AnyEvent) -> object:
    """Return the id of what a thin event points to, as it is written; None where it points to nothing."""
    related = event.related_object
    return None if related is None or isinstance(related, list) else related.id
