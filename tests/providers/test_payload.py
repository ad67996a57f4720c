"""Reading bodies: the items of a batch are cut byte for byte, ids and times are read leniently."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import PayloadError
from providers.models import Model
from providers.payload import (
    BATCH_EVENTS_MAX,
    array_items,
    digest_id,
    first_id,
    first_timestamp,
    get_path,
    member_and_rest,
    read_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(
    items=st.lists(JSON, max_size=4),
    around=st.dictionaries(st.text(max_size=3), JSON, max_size=3),
    indent=st.sampled_from([None, 0, 3]),
    ascii_only=st.booleans(),
)
def test_items_are_the_bytes_of_the_body(items: list[Any], around: Any, indent: Any, ascii_only: bool) -> None:
    body = json.dumps({**around, "events": items, "z": around}, indent=indent, ensure_ascii=ascii_only).encode()
    cut = array_items(b" \r\n" + body + b"\t", "events")
    assert [json.loads(item) for item in cut] == items
    rest = body
    for item in cut:
        before, found, rest = rest.partition(item)
        assert found == item, (before, rest)


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (b'{"events":[]}', []),
        (b'{"events":[1],"events":[2]}', [b"2"]),
        (b'{"\\u0065vents" : [ {"a":"]},"} ,"\\"" ] }', [b'{"a":"]},"}', b'"\\""']),
        ('{"é":"é","events":["é"]}'.encode(), ['"é"'.encode()]),
        (b'{"events":[1.0,1e2,-0,true]}', [b"1.0", b"1e2", b"-0", b"true"]),
        (b'{"events":["\\ud800"]}', [b'"\\ud800"']),
    ],
)
def test_items_of_any_form_are_cut_exactly(body: bytes, items: list[bytes]) -> None:
    assert array_items(body, "events") == items


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"events":{}}',
        b'{"events":[1],"events":null}',
        b'{"events":[1',
        b'{"events":[1]}x',
        b'{"events":[1,]}',
        b'\xef\xbb\xbf{"events":[]}',
        b'{"events":["\xff"]}',
        b'{"events":[' + b"9" * 5000 + b"]}",
        b'{"events":' + b"[" * 100_000,
        b'{"events":[' + b"1," * BATCH_EVENTS_MAX + b"1]}",
    ],
)
def test_a_body_that_is_not_a_batch_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(PayloadError):
        array_items(body, "events")


EDITS = [
    "",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    " ",
    "\x0b",
    "\xa0",
    "\ufeff",
    "-",
    "0",
    "NaN",
    '"events":[7],',
    '"events":7,',
]


@settings(deadline=None, max_examples=200)
@given(
    items=st.lists(JSON, max_size=2),
    around=st.dictionaries(st.text(max_size=2), JSON, max_size=2),
    edits=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 2), st.sampled_from(EDITS)), max_size=3),
)
def test_items_are_cut_from_valid_json_only(items: list[Any], around: Any, edits: list[tuple[int, int, str]]) -> None:
    text = json.dumps({**around, "events": items, "z": around}, ensure_ascii=False)
    for start, length, inserted in edits:
        text = text[:start] + inserted + text[start + length :]
    try:
        expected = get_path(json.loads(text), "events")
    except ValueError:
        expected = None
    if isinstance(expected, list):
        assert repr([json.loads(item) for item in array_items(text.encode(), "events")]) == repr(expected)
    else:
        with pytest.raises(PayloadError):
            array_items(text.encode(), "events")


@pytest.mark.parametrize(
    ("candidates", "name"),
    [
        (("a", "b"), "a"),
        (("", None, "b"), "b"),
        ((0, "b"), "0"),
        ((-(2**63),), str(-(2**63))),
        ((True, False, 1.5, [], {}, 10**5000), None),
        ((), None),
    ],
)
def test_an_id_is_a_text_or_a_whole_number(candidates: tuple[object, ...], name: str | None) -> None:
    assert first_id(*candidates) == name


@pytest.mark.parametrize(
    ("candidates", "time"),
    [
        ((None, "soon", 0), datetime(1970, 1, 1, tzinfo=UTC)),
        ((1789646400,), datetime(2026, 9, 17, 12, tzinfo=UTC)),
        ((1789646400250,), datetime(2026, 9, 17, 12, 0, 0, 250_000, tzinfo=UTC)),
        (("2026-09-17T12:00:00.123456789Z",), datetime(2026, 9, 17, 12, 0, 0, 123_456, tzinfo=UTC)),
        ((float("nan"), float("inf"), -float("inf"), 10**5000, -(10**19), True, [], {}, "", "12:00"), None),
    ],
)
def test_the_first_readable_time_counts(candidates: tuple[object, ...], time: datetime | None) -> None:
    assert first_timestamp(*candidates) == time


def test_get_path_returns_a_nested_value_or_none() -> None:
    assert get_path({"a": {"b": 5}}, "a", "b") == 5
    assert get_path({"a": {"b": 5}}) == {"a": {"b": 5}}
    for value, path in (({"a": 5}, ("a", "b")), ([], ("a",)), (None, ("a",)), ({}, ("a", "b"))):
        assert get_path(value, *path) is None


def test_a_published_digest_agrees() -> None:
    """FIPS 180-2's example for SHA-256."""
    assert digest_id(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_member_has_the_bytes_that_were_sent() -> None:
    body = b' {"a": 1, "_embedded" : {"x":  [1.0, "\\u00e9"]}, "b": [2]}\n'
    assert member_and_rest(body, "_embedded") == (b'{"x":  [1.0, "\\u00e9"]}', {"a": 1, "b": [2]})
    assert member_and_rest(b'{"a": 1, "a": {}}', "a")[0] == b"{}"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"b": 1}', b'{"a": 1', b'{"a": 1}x', b"\xff", b'{"a":' * 5000])
def test_a_body_without_the_member_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(PayloadError):
        member_and_rest(body, "a")


class Numbers(Model):
    each: list[int]


def test_of_a_thousand_problems_the_first_are_said() -> None:
    with pytest.raises(PayloadError, match=r"each\.4: .*; and 995 more$") as error:
        read_json(Numbers, json.dumps({"each": ["jane@example.com"] * 1000}).encode())
    assert "jane" not in str(error.value)
