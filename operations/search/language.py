"""The query language: `source:stripe type:charge.* status:dead reason:"timed out" since:2h -source:test evt_1`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import get_args

from contract.event import Origin
from contract.text import has_refused_character
from operations.search.query import SHOWN_UNASKED, Choice, Query, QueryError, Status

QUERY_CHARS_MAX = 1000
"""The longest query."""

TERMS_MAX = 50
"""The most qualifiers and ids in one query."""

QUALIFIERS = ("source", "type", "payment", "event", "namespace", "status", "reason", "origin", "since", "until")
ORIGINS: tuple[str, ...] = get_args(Origin)
EXCLUDABLE = ("source", "type", "namespace", "status")

_TERM = re.compile(
    r"""\s*(?:
        (?P<minus>-?)(?P<name>[^\s":]+):(?:"(?P<quoted>(?:[^"\\]|\\.)*)"(?=\s|$)|(?P<plain>[^\s"]*)(?=\s|$))
        | "(?P<quoted_id>(?:[^"\\]|\\.)*)"(?=\s|$)
        | (?P<id>[^\s":]+)(?=\s|$)
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_AGE = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(slots=True)
class _Terms:
    """The values of the terms read so far, by qualifier; `id` is free text."""

    wanted: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)

    def choice(self, name: str) -> Choice:
        return Choice(tuple(self.wanted.get(name, ())), tuple(self.refused.get(name, ())))

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(self.wanted.get(name, ()))


def parse_query(text: str, now: datetime) -> Query:
    """Return the query that a text means; ages such as `2h` are before `now`.

    Raise QueryError, with one sentence, for every other text.
    """
    if len(text) > QUERY_CHARS_MAX:
        raise QueryError(f"The query has {len(text)} characters; {QUERY_CHARS_MAX} are the most.")
    line = " ".join(text.split("\n")).replace("\t", " ").strip()
    if has_refused_character(line):
        raise QueryError("The query has a control character, or a byte that is not UTF-8.")
    terms = _Terms()
    for is_excluded, name, value in islice(_terms(line), TERMS_MAX + 1):
        if sum(map(len, [*terms.wanted.values(), *terms.refused.values()])) == TERMS_MAX:
            raise QueryError(f"The query has more than {TERMS_MAX} terms.")
        (terms.refused if is_excluded else terms.wanted).setdefault(name, []).append(value)
    since, until = _time(terms, "since", now), _time(terms, "until", now)
    if since and until and since >= until:
        raise QueryError(f"since:{since:%Y-%m-%dT%H:%M:%SZ} is not before until:{until:%Y-%m-%dT%H:%M:%SZ}.")
    return Query(
        text=line,
        sources=terms.choice("source"),
        types=terms.choice("type"),
        namespaces=terms.choice("namespace"),
        payments=terms.values("payment"),
        events=terms.values("event"),
        ids=terms.values("id"),
        reasons=terms.values("reason"),
        origins=_origins(terms),
        statuses=_statuses(terms),
        has_status="status" in terms.wanted,
        since=since,
        until=until,
    )


def _terms(line: str) -> Iterator[tuple[bool, str, str]]:
    """Yield each term: whether it excludes, its qualifier or `id`, and its value."""
    place = 0
    while place < len(line):
        match = _TERM.match(line, place)
        if match is None:
            raise QueryError(_unreadable(line[place:].strip()))
        place = match.end()
        name = match["name"]
        value = _unquoted(match, ("quoted", "plain") if name else ("quoted_id", "id"))
        if name is None:
            yield False, "id", _checked_id(value)
            continue
        yield bool(match["minus"]), _checked_name(match, value), value


def _unreadable(rest: str) -> str:
    if rest.count('"') % 2:
        return f"A quotation mark is not closed: {_short(rest)}."
    return f'Not readable from here on: {_short(rest)}. Quotation marks stand around a whole value, as in reason:"a b".'


def _unquoted(match: re.Match[str], groups: tuple[str, str]) -> str:
    quoted = match[groups[0]]
    return _ESCAPED.sub(r"\1", quoted) if quoted is not None else match[groups[1]]


def _checked_id(value: str) -> str:
    if not value:
        raise QueryError("An id is empty.")
    if value.startswith("-"):
        raise QueryError(f"{_short(value)}: an id cannot be excluded; {_list(EXCLUDABLE)} can, as in -source:stripe.")
    return value


def _checked_name(match: re.Match[str], value: str) -> str:
    name = str(match["name"])
    if name not in QUALIFIERS:
        raise QueryError(
            f"There is no qualifier {_short(name)}; there are {_list(QUALIFIERS)}. "
            f"An id with a colon goes into quotation marks."
        )
    if not value:
        raise QueryError(f"{name}: has no value.")
    if match["minus"] and name not in EXCLUDABLE:
        raise QueryError(f"{name} cannot be excluded; {_list(EXCLUDABLE)} can.")
    return name


def _origins(terms: _Terms) -> tuple[str, ...]:
    values = terms.values("origin")
    for name in values:
        if name not in ORIGINS:
            raise QueryError(f"There is no origin {_short(name)}; there are {_list(ORIGINS)}.")
    return values


def _statuses(terms: _Terms) -> frozenset[Status]:
    chosen = terms.choice("status")
    for name in (*chosen.wanted, *chosen.refused):
        if name not in list(Status):
            raise QueryError(f"There is no status {_short(name)}; there are {_list(tuple(Status))}.")
    wanted = frozenset(map(Status, chosen.wanted)) or SHOWN_UNASKED
    return wanted - frozenset(map(Status, chosen.refused))


def _time(terms: _Terms, name: str, now: datetime) -> datetime | None:
    values = terms.values(name)
    if not values:
        return None
    if len(values) > 1:
        raise QueryError(f"{name}: is there twice.")
    try:
        if age := _AGE.fullmatch(values[0]):
            return now.astimezone(UTC) - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
        time = datetime.fromisoformat(values[0])
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(
            f"{name}:{_short(values[0])} is no time; write 30s, 15m, 2h, 3d or 2026-11-26T10:00Z (UTC without a zone)."
        ) from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(str, names[:-1])) + f" and {names[-1]}"
