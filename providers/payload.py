"""Reading the bodies of requests: models, ids, timestamps and the items of batches. Raises PayloadError only."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError

from contract.event import TIMES_CACHED
from providers.base import PayloadError, Request
from providers.facts import UnreadableError
from providers.models import Model, loads_decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNIX_S_MAX = 10**11
"""The year 5138. A larger number is a time in milliseconds."""

NUMBER_MAX = 10**20
"""A larger number in a body is not an id."""

HEADER_CHARS_MAX = 120
"""Of an unsigned header that is kept, such as an id or a topic."""

BATCH_EVENTS_MAX = 1000
"""Events in one request; the largest batch any sender documents has 250."""

PROBLEMS_MAX = 5
"""Of a body, in the text of its error."""

_JSON = json.JSONDecoder()
_WHITE_SPACE = " \t\n\r"


ModelT = TypeVar("ModelT", bound=Model)


def read_json(model: type[ModelT], body: bytes) -> ModelT:
    """Return the model of a JSON body. Raise PayloadError, which names fields and never their content."""
    try:
        return model.model_validate_json(body)
    except UnreadableError as error:
        raise PayloadError(str(error)) from None
    except ValidationError as error:
        raise PayloadError(_explain(error)) from None


def read_decimal_json(model: type[ModelT], body: bytes) -> ModelT:
    """Return the model of a JSON body whose numbers are Decimals. Raise PayloadError likewise."""
    try:
        return model.model_validate(loads_decimal(body))
    except UnreadableError as error:
        raise PayloadError(str(error)) from None
    except ValidationError as error:
        raise PayloadError(_explain(error)) from None


@lru_cache(maxsize=TIMES_CACHED)
def time_from_unix(seconds: float) -> datetime:
    """Return aware UTC from Unix seconds. Raise PayloadError outside the years 1 to 9999."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise PayloadError("a time is out of range") from None


def time_from_iso(text: str) -> datetime:
    """Return aware UTC from ISO 8601; a time without a zone is UTC. Raise PayloadError."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        raise PayloadError("a time is not ISO 8601") from None


def first_timestamp(*candidates: object) -> datetime | None:
    """Return the first candidate that is a time: ISO 8601, or Unix seconds or milliseconds. Return None for no time.

    It reads times that a provider may leave out or write in any format: no payment is refused for them.
    """
    for candidate in candidates:
        with contextlib.suppress(PayloadError):
            if isinstance(candidate, str):
                return time_from_iso(candidate)
            if isinstance(candidate, int | float) and not isinstance(candidate, bool) and abs(candidate) < NUMBER_MAX:
                return time_from_unix(candidate / 1000 if candidate > UNIX_S_MAX else candidate)
    return None


def first_id(*candidates: object) -> str | None:
    """Return the first candidate that can be an id: a text that is not empty, or a whole number; else None."""
    for candidate in candidates:
        if isinstance(candidate, str) and candidate:
            return candidate
        if isinstance(candidate, int) and not isinstance(candidate, bool) and abs(candidate) < NUMBER_MAX:
            return str(candidate)
    return None


def get_path(value: object, *path: str) -> object:
    """Return the value at a path of names in nested JSON objects, None where the path ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def header_text(request: Request, name: str) -> str | None:
    """Return an unsigned header that may be passed on, None where it is absent, empty, long or not printable ASCII."""
    value = request.headers.first(name)
    text = value.decode(errors="replace") if value else ""
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= HEADER_CHARS_MAX else None


def digest_id(body: bytes) -> str:
    """Return an id for an event that has no signed id: a digest of what was signed, and of nothing else.

    A captured request that is sent again with another id in a header is the same event, and so is a genuine retry.
    """
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def array_items(body: bytes, name: str) -> list[bytes]:
    """Return the bytes of each item of the array `name` in a JSON object, exactly as they were sent.

    Of a repeated name the last counts, as in every common JSON reader. Raise PayloadError.
    """
    return array_and_rest(body, name)[0]


def array_and_rest(body: bytes, name: str) -> tuple[list[bytes], dict[str, object]]:
    """Return the items likewise, and the values of the other members. The body is scanned once."""
    items: list[bytes] | None = None
    rest: dict[str, object] = {}
    try:
        scanner = _Scanner(body.decode())
        for _ in scanner.members("{", "}"):
            key = scanner.key()
            if key != name:
                rest[key] = scanner.value()
            elif scanner.peek() == "[":
                items = scanner.items()
            else:
                scanner.value()
                items = None
        scanner.end()
    except (ValueError, IndexError, RecursionError):
        raise PayloadError(
            "the body is no JSON object in UTF-8, or is nested or a number is large beyond reason"
        ) from None
    if items is None:
        raise PayloadError(f"{name}: not an array in the body's JSON object")
    return items, rest


def member_and_rest(body: bytes, name: str) -> tuple[bytes, dict[str, object]]:
    """Return the bytes of the member `name` of a JSON object, exactly as they were sent, and the other members' values.

    Of a repeated name the last counts. Raise PayloadError, also where there is no such member.
    """
    member: bytes | None = None
    rest: dict[str, object] = {}
    try:
        scanner = _Scanner(body.decode())
        for _ in scanner.members("{", "}"):
            key = scanner.key()
            if key == name:
                member = scanner.value_bytes()
            else:
                rest[key] = scanner.value()
        scanner.end()
    except (ValueError, IndexError, RecursionError):
        raise PayloadError(
            "the body is no JSON object in UTF-8, or is nested or a number is large beyond reason"
        ) from None
    if member is None:
        raise PayloadError(f"{name}: not in the body's JSON object")
    return member, rest


class _Scanner:
    """A position in a JSON text. ValueError or IndexError: the text is not JSON.

    A batch is cut into events here, because the bytes of an item are kept as they were sent: the readers of JSON that
    are installed (json, pydantic) return values, and writing a value again changes its bytes. What is a value is still
    decided by the standard library; only commas, colons and brackets around the items are read here.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is not white space."""
        while (character := self._text[self._at]) in _WHITE_SPACE:
            self._at += 1
        return character

    def take(self, expected: str) -> None:
        """Step over the character."""
        if self.peek() != expected:
            raise ValueError(f"{expected} was expected")
        self._at += 1

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Step over the next value, and return it."""
        self.peek()
        value, self._at = _JSON.raw_decode(self._text, self._at)
        return value

    def value_bytes(self) -> bytes:
        """Step over the next value, and return its bytes."""
        self.peek()
        start = self._at
        self.value()
        return self._text[start : self._at].encode()

    def key(self) -> str:
        """Step over a member's name and colon, and return the name."""
        key = self.value()
        if not isinstance(key, str):
            raise ValueError("a name was expected")  # noqa: TRY004 - it is the text that is wrong
        self.take(":")
        return key

    def members(self, opening: str, closing: str) -> Iterator[None]:
        """Yield at each member of the object or array that opens here; the caller steps over the member."""
        self.take(opening)
        if self.peek() != closing:
            yield
        while self.peek() != closing:
            self.take(",")
            yield
        self.take(closing)

    def items(self) -> list[bytes]:
        """Step over an array, and return the bytes of its items. Raise PayloadError for too many."""
        items: list[bytes] = []
        for _ in self.members("[", "]"):
            if len(items) == BATCH_EVENTS_MAX:
                raise PayloadError(f"more than {BATCH_EVENTS_MAX} events in one request")
            items.append(self.value_bytes())
        return items

    def end(self) -> None:
        """Check that only white space follows."""
        if self._text[self._at :].strip(_WHITE_SPACE):
            raise ValueError("there is more after the value")


def _explain(error: ValidationError) -> str:
    """Return the first problems in words. A long array may have one in each item."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)[:PROBLEMS_MAX]
    said = [f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in problems]
    more = error.error_count() - len(said)
    return "; ".join([*said, f"and {more} more"] if more else said)
