"""The envelope: what is written is what is read, and nothing in an entry causes any other error than EnvelopeError."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.event import (
    ENVELOPE_VERSION,
    NAME_CHARS_MAX,
    TEXT_CHARS_MAX,
    EnvelopeError,
    Event,
    Mode,
    Signed,
    from_fields,
    to_entry,
)

NOON = datetime(2026, 9, 17, 12, tzinfo=UTC)
EVENT = Event(
    source="stripe",
    namespace="acme",
    provider="stripe",
    event_id="evt_1",
    type="payment_intent.succeeded",
    resource="pi_1",
    occurred_at=NOON,
    received_at=NOON,
    signed="body",
    body=b"{}",
)

unhurried = settings(deadline=None)
PRINTABLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
NAMES = st.text(PRINTABLE, min_size=1, max_size=NAME_CHARS_MAX)
TEXTS = st.text(PRINTABLE, min_size=1, max_size=TEXT_CHARS_MAX)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001 - the zone is drawn
EVENTS = st.builds(
    Event,
    source=NAMES,
    namespace=NAMES,
    provider=NAMES,
    event_id=TEXTS,
    type=TEXTS,
    resource=TEXTS,
    occurred_at=st.none() | TIMES,
    received_at=TIMES,
    signed=st.sampled_from(get_args(Signed)),
    body=st.binary(max_size=300),
    headers=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    traceparent=st.text(alphabet="0123456789abcdef-", max_size=55),
    mode=st.sampled_from([None, *get_args(Mode)]),
    account=st.just("") | TEXTS,
)


def entry(event: Event) -> dict[bytes, bytes]:
    """The fields as a reader gets them back from the stream."""
    flat = [field.encode() if isinstance(field, str) else field for field in to_entry(event)]
    return dict(zip(flat[::2], flat[1::2], strict=True))


@unhurried
@given(event=EVENTS)
def test_an_event_survives_writing_and_reading(event: Event) -> None:
    read = from_fields(entry(event))
    assert read == event
    assert to_entry(read) == to_entry(event)
    assert read.received_at.utcoffset() == timedelta(0)


@unhurried
@given(event=EVENTS, more=st.dictionaries(st.binary(max_size=9).map(lambda name: b"x-" + name), st.binary()))
def test_unknown_fields_are_ignored(event: Event, more: dict[bytes, bytes]) -> None:
    assert from_fields({**entry(event), **more}) == event


def test_every_field_is_written_once_in_a_fixed_order() -> None:
    names = to_entry(EVENT)[::2]
    assert names == ["v", *(field.name for field in dataclasses.fields(Event) if field.name != "origin")]


def test_only_an_event_that_was_not_delivered_says_how_it_came() -> None:
    found = dataclasses.replace(EVENT, signed="api", origin="reconcile")
    assert from_fields(entry(found)) == found
    assert b"origin" not in entry(EVENT)


@pytest.mark.parametrize("version", [b"", b"0", b"2", b"1.0", b" 1", b"\xff"])
def test_an_unknown_version_is_refused_and_named(version: bytes) -> None:
    with pytest.raises(EnvelopeError, match="version"):
        from_fields({**entry(EVENT), b"v": version})
    with pytest.raises(EnvelopeError, match="version"):
        from_fields({b"other": b"x"})
    assert entry(EVENT)[b"v"] == ENVELOPE_VERSION.encode()


ADDED_LATER = {"mode", "account", "origin"}
"""Fields that entries of a gateway before version 0.3 do not have, or of those that were delivered."""


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Event) if field.name not in ADDED_LATER])
def test_a_missing_field_is_named(name: str) -> None:
    fields = entry(EVENT)
    del fields[name.encode()]
    with pytest.raises(EnvelopeError, match=name):
        from_fields(fields)


def test_an_entry_of_an_older_gateway_names_neither_mode_nor_account() -> None:
    fields = entry(dataclasses.replace(EVENT, mode="test", account="acct_1"))
    older = from_fields({name: value for name, value in fields.items() if name.decode() not in ADDED_LATER})
    assert (older.mode, older.account) == (None, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("source", "event_id", "resource", "type") for value in (b"", b"\xff", b"a\x00")),
        ("source", b"x" * (NAME_CHARS_MAX + 1)),
        ("event_id", b"x" * (TEXT_CHARS_MAX + 1)),
        ("signed", b""),
        ("signed", b"nothing"),
        *((name, value) for name in ("occurred_at", "received_at") for value in (b"soon", b"\xff", b"2026-09-17")),
        ("received_at", b""),
        ("received_at", b"0001-01-01T00:00:00+23:59"),
        ("occurred_at", b"9999-12-31T23:59:59-23:59"),
        *(("headers", value) for value in (b"{", b"[]", b"5", b"null", b"\xff", b'{"a":1}', b'{"a":null}')),
        ("headers", b"[" * 100_000),
        ("headers", b"9" * 5000),
        ("traceparent", b"\xff"),
        *(("mode", value) for value in (b"Live", b"true", b"\xff")),
        *(("account", value) for value in (b"\xff", b"a\x00", b"x" * (TEXT_CHARS_MAX + 1))),
    ],
)
def test_an_unreadable_field_is_an_envelope_error(name: str, value: bytes) -> None:
    with pytest.raises(EnvelopeError):
        from_fields({**entry(EVENT), name.encode(): value})


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_entry_causes_any_other_error(data: st.DataObject) -> None:
    fields = entry(EVENT)
    junk = st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | st.sampled_from(list(fields.values()))
    changes = data.draw(st.dictionaries(st.sampled_from(list(fields)), st.none() | junk, min_size=1))
    changed = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    try:
        event = from_fields(changed)
    except EnvelopeError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert from_fields(entry(event)) == event


@pytest.mark.parametrize("name", ["source", "namespace", "provider", "event_id", "type", "resource"])
@pytest.mark.parametrize("text", ["", "a\x00b", "a\nb", "\ud800", "a\x9bb", "x" * 256])
def test_an_event_that_redis_or_postgres_cannot_store_is_refused(name: str, text: str) -> None:
    change: dict[str, Any] = {name: text}
    with pytest.raises(EnvelopeError, match=name):
        dataclasses.replace(EVENT, **change)


@pytest.mark.parametrize("name", ["source", "namespace", "provider", "event_id", "type", "resource"])
def test_the_limits_themselves_are_allowed(name: str) -> None:
    chars_max = NAME_CHARS_MAX if name in {"source", "namespace", "provider"} else TEXT_CHARS_MAX
    change: dict[str, Any] = {name: "é" * chars_max}
    longest = dataclasses.replace(EVENT, **change)
    assert from_fields(entry(longest)) == longest
    change = {name: "é" * (chars_max + 1)}
    with pytest.raises(EnvelopeError, match=str(chars_max)):
        dataclasses.replace(EVENT, **change)


@pytest.mark.parametrize("name", ["occurred_at", "received_at"])
def test_a_time_needs_a_zone(name: str) -> None:
    change: dict[str, Any] = {name: NOON.replace(tzinfo=None)}
    with pytest.raises(EnvelopeError, match="zone"):
        dataclasses.replace(EVENT, **change)


def test_no_body_and_no_header_is_shown() -> None:
    shown = repr(dataclasses.replace(EVENT, body=b"4242 4242", headers={"x": "4242"}))
    assert "4242" not in shown
    assert "evt_1" in shown


def test_headers_are_plain_json() -> None:
    fields = entry(dataclasses.replace(EVENT, headers={"webhook-id": "é"}))
    assert json.loads(fields[b"headers"]) == {"webhook-id": "é"}
    assert entry(EVENT)[b"headers"] == b""
