"""The fields of a request that hold an event's id, type, resource and time, for senders described in sources.toml.

A path is a JSON pointer into the body (RFC 6901), such as `/data/id`, or else the name of a header. Pointers are
followed here and not by the `jsonpointer` package, which reads the index `01` as 1 and gives `-` a value of its own.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from providers.base import ParsedEvent, PayloadError, Request
from providers.json_text import refuse_constant
from providers.payload import digest_id, first_id, first_timestamp, get_path, header_text
from providers.unsigned_types import TYPE_UNKNOWN

PATHS_MAX = 10
"""The most alternative paths of one part of an event."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_UNIX = re.compile(r"[0-9]{9,13}")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def header_name(name: str) -> str:
    """Return the name if RFC 9110 allows it as a header's. Raise ValueError otherwise."""
    if not _HEADER.fullmatch(name):
        raise ValueError("not the name of a header")
    return name


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _checked(paths: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(paths) <= PATHS_MAX:
        raise ValueError(f"not 1 to {PATHS_MAX} paths")
    if not all((_POINTER if path.startswith("/") else _HEADER).fullmatch(path) for path in paths):
        raise ValueError("a path is neither a JSON pointer, such as /data/id, nor the name of a header")
    return paths


FieldPaths = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_checked)]
"""One path, or several, of which the first one with a value counts."""


@dataclass(frozen=True, slots=True)
class EventPaths:
    """The paths of an event's parts. A missing id falls back to a digest of the body, a missing resource to the id."""

    event_id: Sequence[str]
    type: Sequence[str]
    resource: Sequence[str]
    occurred_at: Sequence[str]
    unsigned_types: frozenset[str] | None = None
    """The types that a header may name the event with; None: no header names it."""

    def parse(self, request: Request) -> ParsedEvent:
        """Return the one event. Raise PayloadError where there is no value at any path of the id.

        A header is not signed: with an id from a header, a captured request could be applied again under another one.
        Such an event is identified by its body instead, and by its type as well where a header names a listed one.
        """
        document = self._document(request.body)
        type_, type_is_signed = _find(self.type, document, request)
        if not type_is_signed and self.unsigned_types is not None and type_ not in self.unsigned_types:
            type_ = None
        event_id, id_is_signed = _find(self.event_id, document, request)
        if self.event_id and event_id is None:
            raise PayloadError("the event's id is at none of its paths")
        if event_id is None or not id_is_signed:
            names_it = not type_is_signed and self.unsigned_types is not None
            event_id = (f"{type_ or TYPE_UNKNOWN}:" if names_it else "") + digest_id(request.body)
        resource, _ = _find(self.resource, document, request)
        times = (_number(_value(document, request, path)) for path in self.occurred_at)
        return ParsedEvent(
            event_id, type_ or TYPE_UNKNOWN, resource or event_id, first_timestamp(*times), self._headers(request)
        )

    def _document(self, body: bytes) -> object:
        """Return the body's JSON, or None where no path leads into it."""
        if not any(path.startswith("/") for path in self._all()):
            return None
        try:
            return json.loads(body.decode(), parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            raise PayloadError(
                "the body is not JSON in UTF-8, or it is nested too deeply, or has too large a number"
            ) from None

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the headers among the paths, for later readers of the event."""
        read = {path.lower(): header_text(request, path) for path in self._all() if not path.startswith("/")}
        return {name: value for name, value in read.items() if value}

    def _all(self) -> list[str]:
        return [*self.event_id, *self.type, *self.resource, *self.occurred_at]


def _find(paths: Sequence[str], document: object, request: Request) -> tuple[str | None, bool]:
    """Return the first value that can be an id, and whether it is signed."""
    for path in paths:
        if value := first_id(_value(document, request, path)):
            return value, path.startswith("/")
    return None, True


def _value(document: object, request: Request, path: str) -> object:
    """Return the value at the path, or None."""
    if not path.startswith("/"):
        return header_text(request, path)
    for step in path[1:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(name)] if _INDEX.fullmatch(name) and int(name) < len(document) else None
        else:
            document = get_path(document, name)
    return document


def _number(value: object) -> object:
    """Convert a time in Unix seconds that is written as text, as it has to be in a header."""
    return int(value) if isinstance(value, str) and _UNIX.fullmatch(value) else value
