"""Distinct Stripe events of about 1 KB, signed by the Stripe SDK, and the same events as stream entries."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from contract.event import Event
from tests.support.events import Signed, contract_event, signed_stripe, stripe_event

Name = Callable[[int], str]
"""What the event and the payment with this number are called."""

EVENT_BYTES = 1024
"""What a payment provider's event comes to, within a few bytes."""

_INTENT: dict[str, Any] = {
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
    "capture_method": "automatic_async",
    "client_secret": None,
    "confirmation_method": "automatic",
    "customer": "cus_QXg1o8vlGmoR32",
    "description": "Order 10027391 of 3 articles, paid by card",
    "latest_charge": "ch_3PgafmB7WZ01zgkW1NpAAOXh",
    "livemode": True,
    "metadata": {"order_id": "10027391", "cart": "a37c9f3e-4c7f-4e07-9f5f-0c2f6b9b6f6a"},
    "payment_method": "pm_1PgafmB7WZ01zgkW6dKueIc5",
    "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
    "payment_method_types": ["card", "link"],
}


def signed_requests(first: int, count: int) -> list[Signed]:
    """Requests `first`, `first + 1`, … signed now."""
    return [signed_stripe(_stripe_event(number)) for number in range(first, first + count)]


def _counted(number: int) -> str:
    return f"bench_{number:012}"


def stream_events(first: int, count: int, name: Name = _counted) -> Iterator[Event]:
    """The same events as a gateway publishes them now."""
    now = datetime.now(UTC)
    for number in range(first, first + count):
        signed = signed_stripe(_stripe_event(number, name))
        yield contract_event(signed.event_id, f"pi_{name(number)}", body=signed.body, occurred_at=now, received_at=now)


def event_number(event_id: str) -> int:
    """Which one it is."""
    return int(event_id.rpartition("_")[2])


def _stripe_event(number: int, name: Name = _counted) -> dict[str, Any]:
    return stripe_event(f"evt_{name(number)}", f"pi_{name(number)}", fields=_FIELDS)


def _fields() -> dict[str, Any]:
    """The object's further fields, with a description as long as the event's size needs it."""
    missing = EVENT_BYTES - len(
        signed_stripe(stripe_event(f"evt_{_counted(0)}", f"pi_{_counted(0)}", fields=_INTENT)).body
    )
    assert missing > 0, "the fields alone are longer than the event should be"
    return _INTENT | {"description": _INTENT["description"] + "." * missing}


_FIELDS = _fields()
