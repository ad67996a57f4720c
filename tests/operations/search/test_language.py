"""The query language: what each qualifier means, and one sentence for every mistake."""

import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.search import Choice, Query, QueryError, Status, parse_query
from operations.search.language import QUALIFIERS, QUERY_CHARS_MAX, TERMS_MAX
from operations.search.query import matches_pattern
from operations.search.row import Place

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

PARTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from([*(f"{name}:" for name in QUALIFIERS), '"', "-", "\\", " ", "*", ":", "2h", "dead", "2026-11-26"]),
)


def parse(text: str) -> Query:
    return parse_query(text, NOW)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_no_text_raises_anything_but_a_query_error(text: str) -> None:
    mistake = ""
    try:
        query = parse(text)
    except QueryError as error:
        mistake = str(error)
    else:
        assert all(each for each in (*query.ids, *query.events, *query.payments, *query.reasons))
    assert mistake[-1:] in ("", ".")
    assert "\n" not in mistake


@given(st.text(max_size=60))
def test_no_cursor_raises_anything_but_a_query_error(text: str) -> None:
    with contextlib.suppress(QueryError):
        Place.of_cursor(text)


@given(st.datetimes(timezones=st.just(UTC)), st.from_regex(r"[a-z]?[a-zA-Z0-9/_:-]{0,30}", fullmatch=True))
def test_a_cursor_names_its_place(at: datetime, key: str) -> None:
    assert Place.of_cursor(Place(at, key).as_cursor()) == Place(at, key)


def test_each_qualifier_is_read() -> None:
    query = parse(
        "source:stripe -source:test type:charge.* payment:pi_1 event:evt_1 event:evt_2 namespace:acme "
        'status:dead status:held reason:"timed out" origin:reconcile since:2h until:2026-11-26T11:30Z evt_3 '
        '"tx_1:COMPLETED"'
    )
    assert query.sources == Choice(("stripe",), ("test",))
    assert query.types == Choice(("charge.*",))
    assert query.namespaces == Choice(("acme",))
    assert (query.payments, query.events, query.ids) == (("pi_1",), ("evt_1", "evt_2"), ("evt_3", "tx_1:COMPLETED"))
    assert query.statuses == {Status.DEAD, Status.HELD}
    assert query.reasons == ("timed out",)
    assert query.origins == ("reconcile",)
    assert (query.since, query.until) == (NOW - timedelta(hours=2), NOW - timedelta(minutes=30))


@pytest.mark.parametrize(
    ("text", "value"),
    [('reason:"a \\"b\\" c"', 'a "b" c'), ('reason:"back\\\\slash"', "back\\slash"), ('reason:"a:b"', "a:b")],
)
def test_quoted_values_may_have_any_character(text: str, value: str) -> None:
    assert parse(text).reasons == (value,)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("15m", NOW - timedelta(minutes=15)),
        ("3d", NOW - timedelta(days=3)),
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-11-25T10:00", datetime(2026, 11, 25, 10, tzinfo=UTC)),
        ("2026-11-25T10:00+02:00", datetime(2026, 11, 25, 10, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_times_are_ages_or_iso_8601_in_utc(text: str, time: datetime) -> None:
    assert parse(f"since:{text}").since == time


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("colour:red", "There is no qualifier 'colour'; there are source, type, payment"),
        ("tx_1:COMPLETED", "An id with a colon goes into quotation marks."),
        ("status:lost", "There is no status 'lost'; there are waiting, applied"),
        ("origin:post", "There is no origin 'post'; there are delivery and reconcile."),
        ("source:", "source: has no value."),
        ("since:yesterday", "since:'yesterday' is no time; write 30s, 15m, 2h, 3d or"),
        ("since:999999999w", "is no time"),
        ("since:1h since:2h", "since: is there twice."),
        ("since:1h until:2h", "is not before until:"),
        ('reason:"open', "A quotation mark is not closed"),
        ('reason:"a"b', "Not readable from here on"),
        ("-payment:pi_1", "payment cannot be excluded; source, type, namespace and status can."),
        ("-evt_1", "an id cannot be excluded"),
        ("a\x00b", "control character"),
        ("x" * (QUERY_CHARS_MAX + 1), "are the most"),
        ("a " * (TERMS_MAX + 1), f"more than {TERMS_MAX} terms"),
    ],
)
def test_a_mistake_is_named_in_one_sentence(text: str, mistake: str) -> None:
    with pytest.raises(QueryError, match=re.escape(mistake)):
        parse(text)


def test_without_a_status_each_known_event_is_wanted_once() -> None:
    assert parse("").statuses == {Status.WAITING, Status.APPLIED, Status.DEAD, Status.DISCARDED}
    assert parse("-status:waiting").statuses == {Status.APPLIED, Status.DEAD, Status.DISCARDED}


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("charge.*", "charge.refunded", True),
        ("charge.*", "charge", False),
        ("*.refunded", "charge.refunded", True),
        ("c*g*.*d", "charge.refunded", True),
        ("a*a", "a", False),
        ("charge", "charge", True),
        ("*", "", True),
        ("a*b*c", "acb", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, text: str, *, matches: bool) -> None:
    assert matches_pattern(pattern, text) is matches
