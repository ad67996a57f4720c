"""Reading the pages of an API's lists: the exact bytes of their items, and what says where the next page is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from providers.api import ApiUnexpectedError
from providers.base import PayloadError
from providers.payload import array_and_rest, get_path

CURSOR_CHARS_MAX = 4096
"""The longest cursor that is sent back. Providers document 256 characters at most."""


@contextmanager
def as_documented(about: str) -> Iterator[None]:
    """Raise ApiUnexpectedError in place of a PayloadError, for what `about` names."""
    try:
        yield
    except PayloadError as error:
        raise ApiUnexpectedError(f"{about}: {error}") from None


def read_page(body: bytes, name: str, about: str) -> tuple[list[bytes], Mapping[str, object]]:
    """Return the bytes of each item of the array `name`, and the other members of the answer. Raise ApiUnexpectedError.

    An item has the bytes that were sent: an event that was never delivered is stored with them.
    """
    with as_documented(about):
        return array_and_rest(body, name)


def read_cursor(members: Mapping[str, object], *path: str, about: str) -> str | None:
    """Return the cursor at a path of names, None where the page is the last one. Raise ApiUnexpectedError."""
    cursor = get_path(members, *path)
    if cursor is None or cursor == "":
        return None
    if not isinstance(cursor, str) or len(cursor) > CURSOR_CHARS_MAX:
        raise ApiUnexpectedError(f"{about}: the cursor of the next page is no text of at most {CURSOR_CHARS_MAX}")
    return cursor
