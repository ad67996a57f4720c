"""Thin events: ids without objects. What they are about, and what the object's state amounts to.

* The types are those of snapshot events with `v1.` before them
  (https://docs.stripe.com/changelog/endive/2026-09-30/thin-events-for-api-v1-resources-generally-available).
* The path of the object follows from the type. The `url` in the event is not followed.
* What is fetched is the object as it is now, later than the event. So it is read as the event that reports this state.
"""

import json
from dataclasses import dataclass
from typing import Any

from contract.event import Event
from providers.api import ApiUnexpectedError, NotFoundError, segment
from providers.api_pages import as_documented
from providers.models import Model
from providers.payload import read_json
from providers.stripe.facts import OUTCOMES, TYPES
from providers.stripe.identity import related_id
from providers.stripe.models import AnyEvent

PREFIX = "v1."

MONEY_TYPES = frozenset(PREFIX + type_ for type_ in TYPES)
"""The types of thin events about objects that report money."""

_KINDS = {
    "v1.charge.dispute.": ("dispute", "/v1/disputes/"),
    "v1.charge.refund.": ("refund", "/v1/refunds/"),
    "v1.charge.": ("charge", "/v1/charges/"),
    "v1.refund.": ("refund", "/v1/refunds/"),
    "v1.payment_intent.": ("payment_intent", "/v1/payment_intents/"),
}
"""The kind of object and its path, by the beginning of the type. The first that fits counts."""

_INTENTS = {
    "succeeded": "payment_intent.succeeded",
    "canceled": "payment_intent.canceled",
    "processing": "payment_intent.processing",
    "requires_action": "payment_intent.requires_action",
    "requires_capture": "payment_intent.amount_capturable_updated",
    "requires_confirmation": "payment_intent.created",
}
"""The event that reports a payment intent's status. `requires_payment_method`: before and after a failed attempt."""

_LASTING = {"v1.payment_intent.succeeded": "succeeded", "v1.payment_intent.canceled": "canceled"}
"""The status that an intent has for good once the event was made."""


class FetchedObject(Model):
    """What says which event reports an object's state."""

    id: str
    object: str
    status: str | None = None
    livemode: Any = None
    amount_refunded: Any = None
    last_payment_error: Any = None


@dataclass(frozen=True, slots=True)
class Related:
    """The object that an event is about."""

    kind: str
    id: str
    path: str


def related_object(event: Event) -> Related | None:
    """Return the object of a thin event about money; None for any other event. Raise PayloadError."""
    if event.type not in MONEY_TYPES:
        return None
    kind, path = next(each for beginning, each in _KINDS.items() if event.type.startswith(beginning))
    id_ = related_id(read_json(AnyEvent, event.body))
    if not isinstance(id_, str):
        return None
    return Related(kind, id_, path + segment(id_))


def read_object(body: bytes, related: Related, event: Event) -> FetchedObject:
    """Return what was fetched. Raise ApiUnexpectedError if it is another object; NotFoundError if it is older."""
    about = f"the {related.kind} {related.id}"
    with as_documented(about):
        found = read_json(FetchedObject, body)
    if (found.object, found.id) != (related.kind, related.id):
        raise ApiUnexpectedError(f"{about} was asked for, and another object came")
    lasting = _LASTING.get(event.type)
    if lasting and found.status != lasting:
        raise NotFoundError(f"{about} is not yet {lasting}, as its event says")
    return found


def reporting_type(found: FetchedObject) -> str:
    """Return the type of snapshot event that reports the object as it is. Raise ApiUnexpectedError."""
    if found.object == "refund":
        return "refund.updated"
    if found.object == "dispute":
        return "charge.dispute.closed" if found.status in OUTCOMES else "charge.dispute.updated"
    if found.object == "charge":
        return _charge(found)
    if found.status == "requires_payment_method":
        return "payment_intent.payment_failed" if found.last_payment_error else "payment_intent.created"
    type_ = _INTENTS.get(found.status or "")
    if type_ is None:
        raise ApiUnexpectedError(f"the payment intent {found.id} has a status that is not documented")
    return type_


def _charge(found: FetchedObject) -> str:
    match found.status:
        case "pending" | "failed":
            return f"charge.{found.status}"
        case "succeeded":
            return "charge.refunded" if found.amount_refunded else "charge.succeeded"
        case _:
            raise ApiUnexpectedError(f"the charge {found.id} has a status that is not documented")


def snapshot(event: Event, type_: str, object_: bytes) -> bytes:
    """Return the snapshot event of this type with the object, byte for byte, in place of the thin event."""
    at = event.occurred_at or event.received_at
    head = {"id": event.event_id, "object": "event", "type": type_, "created": int(at.timestamp())}
    return json.dumps(head).removesuffix("}").encode() + b', "data": {"object": ' + object_ + b"}}"
