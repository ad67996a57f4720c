"""Reading the pages of an API's lists: the exact bytes of their items, and what says where the next page is."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from yarl import URL

from contract.event import TEXT_CHARS_MAX
from contract.text import has_refused_character
from providers.api import ApiUnexpectedError, Listed, Window
from providers.base import ParsedEvent, PayloadError
from providers.payload import array_and_rest, first_id, get_path

UNREADABLE_CHARS = 32
"""Of the digest of an item without an id: 128 bits."""

CURSOR_CHARS_MAX = 4096
"""The longest cursor, or address of a next page, that is used. Providers document 256 characters at most."""

PAGES_MAX = 100_000
"""Of one list. One with more does not end."""


class Pages:
    """The pages of one list that were asked for, by what names each of them: a list that never ends is an error."""

    def __init__(self, about: str) -> None:
        self._about = about
        self._asked = set[int]()

    def next(self, cursor: str) -> str:
        """Return the cursor of the page that is asked for now. Raise ApiUnexpectedError if it was asked for before."""
        digest = hash(cursor)
        if digest in self._asked:
            raise ApiUnexpectedError(f"{self._about} leads back to a page that was read before")
        if len(self._asked) == PAGES_MAX:
            raise ApiUnexpectedError(f"{self._about} has more than {PAGES_MAX} pages")
        self._asked.add(digest)
        return cursor


@contextmanager
def as_documented(about: str) -> Iterator[None]:
    """Raise ApiUnexpectedError in place of a PayloadError, for what `about` names."""
    try:
        yield
    except PayloadError as error:
        raise ApiUnexpectedError(f"{about}: {error}") from None


def read_object(body: bytes, about: str) -> Mapping[str, object]:
    """Return the members of the object that an answer is. Raise ApiUnexpectedError."""
    members = parsed_json(body)
    if not isinstance(members, dict):
        raise ApiUnexpectedError(f"{about}: the answer is no JSON object")
    return members


def parsed_json(body: bytes) -> object:
    """Return the value of a JSON text; None for anything else, such as what an answer of no success has."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_page(
    body: bytes, name: str, about: str, *, may_be_absent: bool = False
) -> tuple[list[bytes], Mapping[str, object]]:
    """Return the bytes of each item of the array `name`, and the other members of the answer. Raise ApiUnexpectedError.

    An item has the bytes that were sent: an event that was never delivered is stored with them. `may_be_absent`: an
    empty page has no array.
    """
    if may_be_absent and (members := read_object(body, about)).get(name) is None:
        return [], members
    with as_documented(about):
        return array_and_rest(body, name)


def read_cursor(members: Mapping[str, object], *path: str, about: str) -> str | None:
    """Return the cursor at a path of names, None where the page is the last one. Raise ApiUnexpectedError."""
    cursor = get_path(members, *path)
    if cursor is None or cursor == "":
        return None
    if not isinstance(cursor, str) or len(cursor) > CURSOR_CHARS_MAX or has_refused_character(cursor):
        raise ApiUnexpectedError(
            f"{about}: the cursor of the next page is no text of at most {CURSOR_CHARS_MAX} characters"
        )
    return cursor


def read_address(value: object, about: str) -> URL:
    """Return the address of a next page, of which a provider's module takes the part that it knows: never the host.

    Raise ApiUnexpectedError for anything else.
    """
    if isinstance(value, str) and len(value) <= CURSOR_CHARS_MAX:
        with suppress(ValueError):
            return URL(value)
    raise ApiUnexpectedError(f"{about}: the address of the next page cannot be read")


def listed_events(items: Iterable[bytes], parse: Callable[[bytes], ParsedEvent]) -> list[Listed]:
    """Return the events of a page, each with its own bytes."""
    return [listed(item, lambda item: Listed(parse(item), item)) for item in items]


def listed(item: bytes, read: Callable[[bytes], Listed], type_: str = "") -> Listed:
    """Return an item of a list as `read` returns it. One that cannot be read ends nothing: it is marked so.

    So is one that no envelope can carry: Postgres cannot even be asked about some of the ids that JSON can write.
    `type_`: what it is then, where the item does not say so itself.
    """
    try:
        found = read(item)
    except (PayloadError, ApiUnexpectedError) as error:
        return unreadable(item, str(error), type_)
    for name in ("event_id", "type", "resource"):
        text = getattr(found.parsed, name)
        if not 0 < len(text) <= TEXT_CHARS_MAX or has_refused_character(text):
            return unreadable(item, f"its {name} has no or too many characters, or one that no event's may have", type_)
    return found


def unreadable(item: bytes, reason: str, type_: str = "") -> Listed:
    """Return an item that cannot be read: by its id and type if it says them, else by a digest of its bytes."""
    members = parsed_json(item)
    id_ = first_id(get_path(members, "id"), get_path(members, "event_id"))
    if id_ is None or len(id_) > TEXT_CHARS_MAX or has_refused_character(id_):
        id_ = f"unreadable:{hashlib.sha256(item).hexdigest()[:UNREADABLE_CHARS]}"
    said = type_ or get_path(members, "type") or get_path(members, "event_type")
    if not isinstance(said, str) or len(said) > TEXT_CHARS_MAX or has_refused_character(said):
        said = ""
    return Listed(ParsedEvent(id_, said, id_, None), item, unreadable=reason)


def within(window: Window, events: Iterable[Listed]) -> list[Listed]:
    """Return the events of the window, and those without a time: a list may have been asked for more."""
    return [event for event in events if event.parsed.occurred_at is None or event.parsed.occurred_at in window]


def iso(time: datetime) -> str:
    """Return a time as most APIs take it: UTC, with a Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
