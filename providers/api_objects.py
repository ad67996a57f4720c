"""Events made of what an API lists: a payment, a refund or a dispute, of which no event of the provider's is listed.

Such an event has a type `reconcile.<object>`, which no delivery is ever read as: its facts count with `signed = "api"`
only. They name the same captures, refunds and disputes as the provider's own events, so that nothing is booked twice,
whatever else arrives.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import astuple, replace

from pydantic import ValidationError

from contract.money import MoneyError
from providers.api import Api, ApiUnexpectedError, Listed, to_event
from providers.api_pages import unreadable
from providers.base import ParsedEvent
from providers.facts import ExtractFacts, UnreadableError
from providers.payload import EPOCH

PREFIX = "reconcile."
"""How the types of such events begin."""

ID_CHARS_MAX = 160
"""Of the object's id within the event's; the digest covers the whole of it."""


def listed_object(api: Api, extract_facts: ExtractFacts, about: ParsedEvent, body: bytes) -> Listed:
    """Return an object as an event. `about.event_id` is the object's own id.

    The event's id names the object and what it says about money: the same state always has the same id, and another
    state another one. The bytes stand in where facts cannot be read.
    """
    event = to_event(api.access, api.name, Listed(about, body), EPOCH, "reconcile")
    try:
        says = json.dumps([astuple(fact) for fact in extract_facts(event)])
    except (ValidationError, MoneyError, UnreadableError):
        says = hashlib.sha256(body).hexdigest()
    digest = hashlib.sha256(f"{about.type}:{about.event_id}:{says}".encode()).hexdigest()
    event_id = f"reconcile:{about.event_id[:ID_CHARS_MAX]}:{digest[:24]}"
    return Listed(replace(about, event_id=event_id), body)


async def read_each(items: Iterable[bytes], read: Callable[[bytes], Awaitable[Listed]], type_: str) -> list[Listed]:
    """Return each item as `read` returns it, or marked as one that cannot be read. Raise ApiError."""
    return [await readable(read(item), item, type_) for item in items]


async def readable(reading: Awaitable[Listed], item: bytes, type_: str) -> Listed:
    """Return what is read of an item. One that cannot be read ends nothing: it is marked so. Raise ApiError."""
    try:
        return await reading
    except ApiUnexpectedError as error:
        if error.status:  # an answer to a request of its own
            raise
        return unreadable_object(item, str(error), type_)


def unreadable_object(item: bytes, reason: str, type_: str) -> Listed:
    """Return an object that cannot be read. Its id names the object: once it can be read, the finding is closed."""
    listed = unreadable(item, reason, type_)
    id_ = listed.parsed.event_id
    return replace(listed, parsed=replace(listed.parsed, event_id=f"reconcile:{id_[:ID_CHARS_MAX]}:unreadable"))
