"""Reading verified bodies: strict pydantic models of the parts a provider needs, and times. PayloadError or a value."""

import contextlib
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Generic, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from providers.base import PayloadError, Request
from providers.facts import UnreadableError
from providers.models import Model, loads_decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNIX_S_MAX = 10**11
"""A larger number is no time in seconds (the year 5138) but one in milliseconds."""

NUMBER_MAX = 10**20
"""Beyond it a number in a body names nothing."""

HEADER_CHARS_MAX = 120
"""Of an unsigned header that is kept: an id or a topic."""

TIMES_KEPT = 1024
"""Seconds whose times are kept ready: events come in bursts, and most providers tell whole seconds."""

BATCH_EVENTS_MAX = 1000
"""Events in one request; the largest batch any sender documents has 250."""

_JSON = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


body_part = with_config(ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True))
"""The same for a TypedDict, see Reader."""

ModelT = TypeVar("ModelT", bound=Model)
ReadT = TypeVar("ReadT")


def read_json(model: type[ModelT], body: bytes) -> ModelT:
    """The model of a JSON body. Raises PayloadError, which names fields and never their content."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise PayloadError(_explain(error)) from None


class Reader(Generic[ReadT]):
    """Reads JSON bodies of a shape that is a TypedDict, in half the time a model takes."""

    def __init__(self, shape: type[ReadT]) -> None:
        self._validate = TypeAdapter(shape).validator.validate_json

    def __call__(self, body: bytes) -> ReadT:
        """The parts of the body that the shape names. Raises PayloadError, as `read_json` does."""
        try:
            return cast("ReadT", self._validate(body))
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


@lru_cache(maxsize=TIMES_KEPT)
def time_from_unix(seconds: float) -> datetime:
    """Aware UTC from Unix seconds. Raises PayloadError outside the years 1 to 9999."""
    try:
        return EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise PayloadError("a time is out of range") from None


def time_from_iso(text: str) -> datetime:
    """Aware UTC from ISO 8601; a time without a zone is UTC. Raises PayloadError."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        raise PayloadError("a time is not ISO 8601") from None


def first_timestamp(*candidates: object) -> datetime | None:
    """The first candidate that is a time: ISO 8601, or a number of seconds or milliseconds; None if there is none.

    For the times that a provider may leave out or write as it likes: no payment is refused for them.
    """
    for candidate in candidates:
        with contextlib.suppress(PayloadError):
            if isinstance(candidate, str):
                return time_from_iso(candidate)
            if isinstance(candidate, int | float) and not isinstance(candidate, bool) and abs(candidate) < NUMBER_MAX:
                return time_from_unix(candidate / 1000 if candidate > UNIX_S_MAX else candidate)
    return None


def first_id(*candidates: object) -> str | None:
    """The first candidate that can name something: a text that is not empty, or a whole number; else None."""
    for candidate in candidates:
        if isinstance(candidate, str) and candidate:
            return candidate
        if isinstance(candidate, int) and not isinstance(candidate, bool) and abs(candidate) < NUMBER_MAX:
            return str(candidate)
    return None


def get_path(value: object, *path: str) -> object:
    """What lies at a path of names within JSON objects; None where it ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def header_text(request: Request, name: str) -> str | None:
    """A header that is not signed and may still be told on: None where it is absent, empty, or more than a name."""
    value = request.headers.first(name)
    text = value.decode(errors="replace") if value else ""
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= HEADER_CHARS_MAX else None


def digest_id(body: bytes) -> str:
    """The id of an event that has none the signature covers: a function of what was signed, and of nothing else.

    A captured request that is sent again under another id in a header is the same event; so is any genuine retry.
    """
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def array_items(body: bytes, name: str) -> list[bytes]:
    """The bytes of each item of the array `name` in a JSON object, exactly as they were signed.

    Of a repeated name the last counts, as in every common JSON reader. Raises PayloadError.
    """
    return array_and_rest(body, name)[0]


def array_and_rest(body: bytes, name: str) -> tuple[list[bytes], dict[str, object]]:
    """The same items, and the values of the other members. Everything is scanned once."""
    try:
        cut, rest = _members(body.decode(), name)
    except (ValueError, IndexError, RecursionError):
        raise PayloadError(
            "the body is no JSON object in UTF-8, or is nested or a number is large beyond reason"
        ) from None
    if cut is None:
        raise PayloadError(f"{name}: not an array in the body's JSON object")
    if len(cut) > BATCH_EVENTS_MAX:
        raise PayloadError(f"{name}: more than {BATCH_EVENTS_MAX} events in one request")
    return [item.encode() for item in cut], rest


def _members(text: str, name: str) -> tuple[list[str] | None, dict[str, object]]:
    """The texts of the items of the array, None where there is none, and the other members.

    Raises ValueError or IndexError where the text is not one JSON object.
    """
    cut: list[str] | None = None
    rest: dict[str, object] = {}
    at = _space(text, _expect(text, _space(text, 0), "{"))
    closed = text[at] == "}"
    while not closed:
        if text[at] != '"':
            raise ValueError("a name was expected")
        key, at = _JSON.raw_decode(text, at)
        at = _space(text, _expect(text, _space(text, at), ":"))
        if key == name and text[at] == "[":
            cut, at = _items(text, at)
        else:
            value, at = _JSON.raw_decode(text, at)
            if key == name:
                cut = None
            else:
                rest[key] = value
        at, closed = _next(text, at, "}")
    if _space(text, at + 1) != len(text):
        raise ValueError("there is more behind the value")
    return cut, rest


def _items(text: str, opening: int) -> tuple[list[str], int]:
    """The texts of the items of the array that opens there, and where it ends."""
    items: list[str] = []
    at = _space(text, opening + 1)
    closed = text[at] == "]"
    while not closed:
        _, end = _JSON.raw_decode(text, at)
        items.append(text[at:end])
        at, closed = _next(text, end, "]")
    return items, at + 1


def _next(text: str, end: int, closing: str) -> tuple[int, bool]:
    """Where the next one within an object or array starts, or where that closes, and whether it does."""
    at = _space(text, end)
    if text[at] == closing:
        return at, True
    return _space(text, _expect(text, at, ",")), False


def _expect(text: str, at: int, sign: str) -> int:
    """Behind the sign that has to stand there."""
    if text[at] != sign:
        raise ValueError(f"{sign} was expected")
    return at + 1


def _space(text: str, at: int) -> int:
    """Behind the white space of JSON that stands there, if any."""
    return cast("re.Match[str]", _SPACE.match(text, at)).end()


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in problems)
