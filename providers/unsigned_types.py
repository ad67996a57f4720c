"""Types that a request names in a header, which nobody signs: those that a source lets name an event, and no others.

A captured request is genuine whatever its unsigned headers say. With any text in them as a part of the event's id, it
would be a new event each time. So a listed type is part of the id, because one change may be sent under several types
with the same body; any other type is `unknown`, and does not name the event. A retry has the same type and body.
"""

from typing import Annotated

from pydantic import Field

from providers.base import Request, SourceSettings
from providers.payload import HEADER_CHARS_MAX, header_text

TYPES_MAX = 500
"""The most types of one source; Shopify documents about 220."""

TYPE_UNKNOWN = "unknown"

Types = Annotated[
    tuple[Annotated[str, Field(pattern=f"^[!-~]{{1,{HEADER_CHARS_MAX}}}$")], ...],
    Field(min_length=1, max_length=TYPES_MAX),
]


class TypesSettings(SourceSettings):
    """The table of a sender whose types are in a header. Without `types`, those that it documents are believed."""

    types: Types | None = None


def expanded(documented: str) -> frozenset[str]:
    """Return the types of a list. A line `orders/ create paid` is `orders/create` and `orders/paid`."""
    types: set[str] = set()
    for group, *names in filter(None, map(str.split, documented.splitlines())):
        is_prefix = group.endswith(("/", "."))
        types.update(f"{group}{name}" if is_prefix else name for name in (names if is_prefix else (group, *names)))
    return frozenset(types)


def listed_type(request: Request, headers: tuple[str, ...], types: frozenset[str]) -> str:
    """Return the type that the first of the headers with a value names, `unknown` where it is not listed."""
    named = next(filter(None, (header_text(request, header) for header in headers)), None)
    return named if named in types else TYPE_UNKNOWN
