"""Addresses of events and payments, whatever their ids are.

An id is percent-encoded whole, slashes too. Browsers take `.` and `..` for steps in a path even if they are encoded
(WHATWG URL, double-dot segments), so that such an id goes into the query: `/events/acme/-?id=..`.
"""

from collections.abc import Iterable
from urllib.parse import quote

from aiohttp import web

from operations.why.model import Subject

STEPS = frozenset({".", ".."})
IN_QUERY = "-"
"""What stands in the path for an id that is in the query. An event may be called so too: then there is no query."""


def page_path(parts: Iterable[str]) -> str:
    """Return the address of a page from its parts: `/payments/stripe/pi%2F1`. The last may hold any character."""
    *names, id_ = parts
    folder = "".join(f"/{quote(name, safe='')}" for name in names)
    return f"{folder}/{IN_QUERY}?id={id_}" if id_ in STEPS else f"{folder}/{quote(id_, safe='')}"


def event_path(namespace: str, event_id: str) -> str:
    """Return the address of an event."""
    return page_path(("events", namespace, event_id))


def body_path(namespace: str, event_id: str) -> str:
    """Return the address of the download of its body."""
    return page_path(("bodies", namespace, event_id))


def payment_path(namespace: str, payment_id: str) -> str:
    """Return the address of a payment."""
    return page_path(("payments", namespace, payment_id))


def subject_of(request: web.Request) -> Subject:
    """Return the event or payment that the address names."""
    namespace, id_ = request.match_info["namespace"], request.match_info["id"]
    return Subject(namespace, request.query.get("id", id_) if id_ == IN_QUERY else id_)
