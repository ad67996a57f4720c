"""Reading the answers of Mercado Pago's API, and writing the times of its searches."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from providers.api import ApiUnexpectedError, Window
from providers.api_pages import as_documented
from providers.models import Model
from providers.payload import read_decimal_json

MARGIN = timedelta(milliseconds=1)

NUMBER = re.compile(r"[0-9]{1,30}")

ModelT = TypeVar("ModelT", bound=Model)


def read(model: type[ModelT], body: bytes, about: str) -> ModelT:
    """Return the model of an answer, of numbers as Decimals. Raise ApiUnexpectedError."""
    with as_documented(about):
        return read_decimal_json(model, body)


def plain(value: object) -> object:
    """Return an id that may be written as a number, which was read as a Decimal, as text."""
    return str(value) if value is not None and not isinstance(value, str | bool | list | dict) else value


def whole(members: Mapping[str, object], name: str, about: str) -> int:
    """Return a number of `paging`, which some answers write as text."""
    paging = members.get("paging")
    value = paging.get(name) if isinstance(paging, dict) else None
    if not isinstance(value, int | str) or isinstance(value, bool) or not NUMBER.fullmatch(str(value)):
        raise ApiUnexpectedError(f"{about} does not say paging.{name}")
    return int(value)


def between(window: Window) -> dict[str, str]:
    """Return the times of a search. They are whole milliseconds, and both may belong to what is found, or neither."""
    return {"begin_date": _time(window.since - MARGIN), "end_date": _time(window.until + MARGIN)}


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parts(window: Window, longest: timedelta) -> Iterator[Window]:
    """Yield the window in parts, none of which is longer."""
    since = window.since
    while since < window.until:
        yield Window(since, min(since + longest, window.until))
        since += longest
