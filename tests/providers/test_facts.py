"""Every extractor, given any body: facts that can be booked, or one of the three documented errors."""

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.event import TEXT_CHARS_MAX, Event
from contract.facts import KINDS, Fact, Kind
from contract.money import BIGINT_MAX, MoneyError
from providers import FACT_EXTRACTORS
from providers.facts import UnreadableError
from tests.support.cases.base import NOW
from tests.support.recorded import recordings

DOCUMENTED_ERRORS = (ValidationError, MoneyError, UnreadableError)
ABOUT_THE_PAYMENT: frozenset[Kind] = frozenset({"pending", "authorized", "failed", "canceled", "refunded_total"})

ODD_NUMBERS = st.sampled_from([0, -1, 0.5, -0.0, BIGINT_MAX, BIGINT_MAX + 1, 10**60, 1e308, 1e-308])
ODD_TEXT = st.sampled_from(
    ["", "0", "-1", "1.5", "1e400", "NaN", "Infinity", "\u0661", "\x00", "\ud800", "€", "x" * 300]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ODD_NUMBERS | ODD_TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)
BODIES = st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode()))


def types_of(provider: str) -> Sequence[str]:
    """Return the types that report money."""
    return list(importlib.import_module(FACT_EXTRACTORS[provider].__module__).TYPES)


EVERY_TYPE = [(provider, type_) for provider in FACT_EXTRACTORS for type_ in types_of(provider)]
every_type = pytest.mark.parametrize(("provider", "type_"), EVERY_TYPE)
every_provider = pytest.mark.parametrize("provider", FACT_EXTRACTORS)


def an_event(provider: str, type_: str, body: bytes) -> Event:
    return Event(provider, provider, provider, "e_1", type_, "r_1", NOW, NOW, "body", body)


def check(event: Event) -> None:
    """Extract the facts, and check that they can be booked."""
    try:
        facts = FACT_EXTRACTORS[event.provider](event)
    except DOCUMENTED_ERRORS:
        return
    for fact in facts:
        assert isinstance(fact, Fact)
        assert fact.kind in KINDS
        assert type(fact.amount) is int
        assert 0 <= fact.amount <= BIGINT_MAX
        assert fact.currency.isascii()
        assert fact.currency.isupper()
        assert len(fact.currency) == 3
        assert fact.object.isprintable()
        assert len(fact.object) <= TEXT_CHARS_MAX
        assert fact.object or fact.kind in ABOUT_THE_PAYMENT
        assert not fact.object or fact.kind not in ABOUT_THE_PAYMENT - {"authorized"}  # which may be adjusted


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield from places(child, (*path, name))


def changed(value: Any, path: Sequence[Any], new: object) -> object:
    """Return the JSON value with another value at a path."""
    if not path:
        return new
    name, *rest = path
    if isinstance(value, dict):
        return {**value, name: changed(value[name], rest, new)}
    return [changed(each, rest, new) if at == name else each for at, each in enumerate(value)]


@cache
def recorded_events(provider: str) -> list[tuple[Event, object, list[tuple[Any, ...]]]]:
    """Return the recorded events whose body is JSON, with all paths that can be changed in it."""
    documents = []
    for recording in recordings(provider):
        event = recording.event()
        try:
            document = json.loads(event.body)
        except ValueError:
            continue
        documents.append((event, document, list(places(document))))
    return documents


@every_type
@settings(deadline=None, max_examples=10)
@given(body=BODIES)
def test_any_body_is_read_or_refused(provider: str, type_: str, body: bytes) -> None:
    check(an_event(provider, type_, body))


@every_provider
@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_a_recorded_body_with_any_value_at_one_path_is_read_or_refused(provider: str, data: st.DataObject) -> None:
    events = recorded_events(provider)
    if not events:
        return
    event, document, everywhere = data.draw(st.sampled_from(events))
    document = changed(document, data.draw(st.sampled_from(everywhere)), data.draw(JSON))
    check(replace(event, body=json.dumps(document).encode()))


@every_provider
@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b'{"a":' * 5000, b"[" * 100_000, b"9" * 10_000, b"1e9999999999"])
def test_a_body_of_any_other_shape_is_refused(provider: str, body: bytes) -> None:
    for type_ in types_of(provider):
        check(an_event(provider, type_, body))


@every_provider
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"not read"])
def test_an_unknown_type_gives_no_facts_and_its_body_is_not_read(provider: str, body: bytes) -> None:
    for type_ in ("", "x", "something.new", "payment", "\U0001f4b6"):
        if type_ not in types_of(provider):
            assert list(FACT_EXTRACTORS[provider](replace(an_event(provider, "x", body), type=type_ or "-"))) == []


@every_provider
def test_every_extractor_has_distinct_types(provider: str) -> None:
    types = types_of(provider)
    assert types
    assert len(set(types)) == len(types)


def test_the_kinds_about_the_payment_are_in_the_contract() -> None:
    assert set(get_args(Kind)) >= ABOUT_THE_PAYMENT
