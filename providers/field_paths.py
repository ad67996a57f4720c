"""Where an event's id, type, resource and time are, for senders that only sources.toml knows.

A place is a JSON pointer into the body (RFC 6901), such as `/data/id`, or else the name of a header.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from providers.base import ParsedEvent, PayloadError, Request
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text

PLACES_MAX = 10
"""Places that are looked at for one thing."""

TYPE_UNKNOWN = "unknown"
"""The type of an event that has none at its places: an unknown type is recorded, not refused."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_UNIX = re.compile(r"[0-9]{9,13}")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def header_name(name: str) -> str:
    """The name of a header as RFC 9110 allows it. Raises ValueError."""
    if not _HEADER.fullmatch(name):
        raise ValueError("not the name of a header")
    return name


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _checked(places: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(places) <= PLACES_MAX:
        raise ValueError(f"not 1 to {PLACES_MAX} places")
    if not all((_POINTER if place.startswith("/") else _HEADER).fullmatch(place) for place in places):
        raise ValueError("a place is neither a JSON pointer, such as /data/id, nor the name of a header")
    return places


Places = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_checked)]
"""One place, or several of which the first that has a value counts."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads an event from its places. What has none is made up for: the id by the body, the resource by the id."""

    event_id: Sequence[str]
    type: Sequence[str]
    resource: Sequence[str]
    occurred_at: Sequence[str]

    def draft(self, request: Request) -> ParsedEvent:
        """The one event. Raises PayloadError where its id is at none of the places it should be at.

        A header is not signed. An id from one would let a captured request be applied again under another, so the
        event is identified by its body instead, and by its type where that is from a header too.
        """
        document = self._document(request.body)
        type_, type_is_signed = _find(self.type, document, request)
        event_id, id_is_signed = _find(self.event_id, document, request)
        if self.event_id and event_id is None:
            raise PayloadError("the event's id is at none of its places")
        if event_id is None or not id_is_signed:
            event_id = ("" if type_is_signed else f"{type_}:") + digest_id(request.body)
        resource, _ = _find(self.resource, document, request)
        times = (_number(_at(document, request, place)) for place in self.occurred_at)
        return ParsedEvent(
            event_id, type_ or TYPE_UNKNOWN, resource or event_id, first_timestamp(*times), self._headers(request)
        )

    def _document(self, body: bytes) -> object:
        """The body's JSON, needed only where a place is in it."""
        if not any(place.startswith("/") for place in self._places()):
            return None
        try:
            return json.loads(body.decode())
        except (ValueError, RecursionError):
            raise PayloadError(
                "the body is not JSON in UTF-8, or is nested or a number is large beyond reason"
            ) from None

    def _headers(self, request: Request) -> dict[str, str]:
        """Those that were looked at, for whoever reads the event."""
        read = {place.lower(): header_text(request, place) for place in self._places() if not place.startswith("/")}
        return {name: value for name, value in read.items() if value}

    def _places(self) -> list[str]:
        return [*self.event_id, *self.type, *self.resource, *self.occurred_at]


def _find(places: Sequence[str], document: object, request: Request) -> tuple[str | None, bool]:
    """The first of the places' values that names something, and whether it is signed."""
    for place in places:
        if value := first_id(_at(document, request, place)):
            return value, place.startswith("/")
    return None, True


def _at(document: object, request: Request, place: str) -> object:
    if not place.startswith("/"):
        return header_text(request, place)
    for step in place[1:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(name)] if _INDEX.fullmatch(name) and int(name) < len(document) else None
        else:
            document = get_path(document, name)
    return document


def _number(value: object) -> object:
    """A time in Unix seconds may be written as text, as it has to be in a header."""
    return int(value) if isinstance(value, str) and _UNIX.fullmatch(value) else value
