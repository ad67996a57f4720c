"""Searching: each status is found, filters agree on both servers, and pages have neither gaps nor repeats."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from consumers.settings import Settings
from operations.search import Page, Status, count, parse_query, search
from operations.search import postgres as postgres_search
from operations.search import stream as stream_search
from operations.servers import Servers
from tests.support.batches import Row, claim
from tests.support.events import contract_event
from tests.support.stream_states import Stream

GENEROUS_S = 30.0
"""Time enough on any machine."""


@pytest.fixture
def servers(settings: Settings) -> Servers:
    return Servers(settings)


async def find(servers: Servers, text: str, *, limit: int = 100, after: str | None = None) -> Page:
    query = parse_query(text, datetime.now(UTC))
    return await search(servers, servers.keys, query, limit=limit, after=after, budget_s=GENEROUS_S)


async def found(servers: Servers, text: str) -> list[tuple[str | None, str]]:
    return [(row.event_id, row.status.value) for row in (await find(servers, text)).rows]


STATES = """
INSERT INTO events_of_other_mode (namespace, event_id, source, mode, resource)
VALUES ('stripe', 'evt_mode', 'stripe', 'test', 'pi_1');
INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency)
VALUES ('stripe', 'evt_held', 'pi_1', 'stripe', 'unsigned', 'captured', 'pi_1', 700, 'EUR');
INSERT INTO conflicts (namespace, payment_id, movement, reported_amount, reported_currency, event_id)
VALUES ('stripe', 'pi_1', 'capture:pi_1', 700, 'EUR', 'evt_conflict');
INSERT INTO duplicates (entry_id, namespace, event_id, source, received_at)
VALUES ('9-9', 'stripe', 'evt_plain', 'stripe', now());
"""


@pytest.fixture
async def every_state(stream: Stream, connection: asyncpg.Connection) -> None:
    """Make one event of each status."""
    for name in ("evt_dead", "evt_discarded", "evt_replayed"):
        await stream.publish(contract_event(name, "pi_dead"))
    for entry in await stream.read("worker-1"):
        await stream.dead_letter(connection, entry, "Timeout: the bank timed out")
    for name in ("discarded", "replayed"):
        update = "UPDATE dead_letters SET state = $1 WHERE event_id = 'evt_' || $1"
        await connection.execute(update, name)
    names = ("evt_plain", "evt_held", "evt_conflict", "evt_mode")
    await claim(connection, [Row(name, f"{number}-0") for number, name in enumerate(names, 1)])
    await connection.execute(STATES)
    entry_id = await stream.publish(contract_event("evt_waiting", "pi_w", type="charge.failed", source="other"))
    await stream.record_failure(entry_id, "retry", "the shop is closed", 1, 60)


@pytest.mark.usefixtures("every_state")
async def test_each_status_is_found(servers: Servers) -> None:
    for status in Status:
        name = {Status.OTHER_MODE: "evt_mode", Status.DUPLICATE: "evt_plain", Status.APPLIED: ""}.get(
            status, f"evt_{status}"
        )
        if name:
            assert await found(servers, f"status:{status}") == [(name, status.value)]
    applied = dict(await found(servers, "status:applied"))
    assert applied == {
        "evt_plain": "applied", "evt_held": "held", "evt_conflict": "conflict", "evt_mode": "other_mode",
    }  # fmt: skip


@pytest.mark.usefixtures("every_state")
@pytest.mark.parametrize(("text", "is_found"), [("since:0001-01-01", True), ("until:1960-01-01", False)])
async def test_a_time_before_the_first_entry_ids_is_a_time(servers: Servers, text: str, is_found: bool) -> None:
    page = await find(servers, f"evt_waiting {text}")
    assert (bool(page.rows), page.left_out) == (is_found, [])


@pytest.mark.usefixtures("every_state")
async def test_without_a_status_each_event_is_shown_once(servers: Servers) -> None:
    shown = await found(servers, "")
    assert sorted(str(event_id) for event_id, _ in shown) == [
        "evt_conflict", "evt_dead", "evt_discarded", "evt_held", "evt_mode", "evt_plain", "evt_waiting",
    ]  # fmt: skip
    assert shown[0] == ("evt_waiting", "waiting")


@pytest.mark.usefixtures("every_state")
@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("source:other", ["evt_waiting"]),
        ("-source:stripe", ["evt_waiting"]),
        ("-source:other -status:applied", ["evt_dead", "evt_discarded"]),
        ("type:charge.*", ["evt_waiting"]),
        ("type:payment_intent.* status:dead", ["evt_dead"]),
        ("-type:payment* ", ["evt_waiting"]),
        ("type:payment%", []),
        ("payment:pi_w", ["evt_waiting"]),
        ("payment:pi_dead", ["evt_dead", "evt_discarded"]),
        ("payment:pi_1", ["evt_conflict", "evt_held", "evt_mode", "evt_plain"]),
        ("payment:pi_1 event:evt_held", ["evt_held"]),
        ("event:evt_plain event:evt_waiting event:evt_dead", ["evt_dead", "evt_plain", "evt_waiting"]),
        ("evt_plain", ["evt_plain"]),
        ("pi_dead evt_plain", ["evt_dead", "evt_discarded", "evt_plain"]),
        ("namespace:acme", []),
        ("-namespace:stripe", []),
        ('reason:"TIMED OUT"', ["evt_dead", "evt_discarded"]),
        ("reason:closed", ["evt_waiting"]),
        ("status:held reason:unsigned", ["evt_held"]),
        ("status:conflict reason:capture", ["evt_conflict"]),
        ("status:other_mode reason:test payment:pi_1", ["evt_mode"]),
        ("status:duplicate payment:pi_1", ["evt_plain"]),
        ("status:replayed reason:100%", []),
        ("since:1h until:2099-01-01 evt_plain", ["evt_plain"]),
        ("until:2001-01-01", []),
    ],
)
async def test_filters_agree_on_both_servers(servers: Servers, text: str, events: list[str]) -> None:
    assert sorted(str(event_id) for event_id, _ in await found(servers, text)) == events


@pytest.mark.usefixtures("every_state")
async def test_a_row_says_what_is_known(servers: Servers) -> None:
    (waiting,) = (await find(servers, "status:waiting")).rows
    assert (waiting.reason, waiting.payment, waiting.source) == ("the shop is closed", "pi_w", "other")
    assert waiting.received_at == contract_event().received_at
    (dead,) = (await find(servers, "status:dead")).rows
    assert dead.dead_letter_id is not None
    assert dead.reason == "Timeout: the bank timed out"
    (plain,) = (await find(servers, "event:evt_plain")).rows
    assert (plain.entry_id, plain.committed_at) == ("1-0", plain.at)


async def test_an_entry_that_is_not_an_envelope_is_shown(servers: Servers, stream: Stream) -> None:
    await stream.publish_fields(["v", "9", "source", "stripe", "body", b"\xff"])
    assert [(row.reason, row.event_id) for row in (await find(servers, "")).rows] == [("not an envelope", None)]
    assert (await find(servers, "source:stripe")).rows == []


def at_times(number: int) -> list[datetime]:
    """Times of which several are equal, over a year: pages must not depend on them."""
    return [datetime.now(UTC) - timedelta(hours=(n // 3) ** 3) for n in range(number)]


async def fill(stream: Stream, connection: asyncpg.Connection) -> int:
    """Make applied events, dead letters and entries with times that mix; return how many."""
    times = at_times(40)
    await claim(connection, [Row(f"evt_{n}", f"{n}-0", f"pi_{n % 5}") for n in range(len(times))])
    await connection.executemany(
        "UPDATE events SET committed_at = $2 WHERE event_id = $1", [(f"evt_{n}", at) for n, at in enumerate(times)]
    )
    for n in range(20):
        await stream.publish(contract_event(f"evt_d{n}"))
    for entry in await stream.read("worker-1", 100):
        await stream.dead_letter(connection, entry)
    await connection.executemany(
        "UPDATE dead_letters SET died_at = $2 WHERE event_id = $1",
        [(f"evt_d{n}", times[n]) for n in range(20)],
    )
    for n in range(7):
        await stream.publish(contract_event(f"evt_w{n}"))
    return 67


async def pages(servers: Servers, text: str, limit: int) -> list[Page]:
    """Read all pages."""
    read = [await find(servers, text, limit=limit)]
    while read[-1].next:
        read.append(await find(servers, text, limit=limit, after=read[-1].next))
    return read


@pytest.mark.parametrize("small_bytes", [0, postgres_search.SMALL_BYTES])
@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_pages_have_no_gaps_and_no_repeats(
    servers: Servers, stream: Stream, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, limit: int,
    small_bytes: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(postgres_search, "SMALL_BYTES", small_bytes)
    total = await fill(stream, connection)
    read = await pages(servers, "", limit)
    rows = [row for page in read for row in page.rows]
    assert len({row.key for row in rows}) == len(rows) == total
    assert [row.place for row in rows] == sorted((row.place for row in rows), reverse=True)
    assert all(len(page.rows) <= limit for page in read)
    assert all(page.left_out == [] for page in read)


async def test_a_search_that_runs_out_of_time_goes_on_with_the_next_page(
    servers: Servers, stream: Stream, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_search, "SMALL_BYTES", 0)
    total = await fill(stream, connection)
    query, rows, after, pages_read = parse_query("-status:waiting", datetime.now(UTC)), [], None, 0
    while pages_read == 0 or after:
        page = await search(servers, servers.keys, query, limit=10, after=after, budget_s=0)
        rows += page.rows
        after = page.next
        pages_read += 1
        if after and len(page.rows) < 10:
            assert "was not searched yet; the next page goes on there." in page.left_out[0]
        if pages_read > 40:
            break
    expected = [row for row in (await find(servers, "-status:waiting", limit=200)).rows if row.place >= rows[-1].place]
    assert [row.key for row in rows] == [row.key for row in expected]
    assert len(rows) < total


async def test_a_long_stream_is_searched_up_to_a_limit_that_is_said(
    servers: Servers, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_search, "ENTRIES_AT_ONCE", 5)
    monkeypatch.setattr(stream_search, "WAITING_SEARCHED_MAX", 10)
    for n in range(20):
        await stream.publish(contract_event(f"evt_{n}", f"pi_{n}"))
    page = await find(servers, "payment:pi_3")
    assert page.rows == []
    assert page.left_out == ["Of the 20 entries in the stream only 10 were searched; the older ones are left out."]
    assert [row.event_id for row in (await find(servers, "payment:pi_13")).rows] == ["evt_13"]


async def test_counting_stops_after_the_limit(servers: Servers, stream: Stream, connection: asyncpg.Connection) -> None:
    await fill(stream, connection)
    for text, limit, number in (("status:dead", 100, 20), ("status:dead", 5, 6), ("status:dead evt_d3", 5, 1)):
        query = parse_query(text, datetime.now(UTC))
        assert await count(servers, servers.keys, query, limit=limit, budget_s=GENEROUS_S) == number


@pytest.mark.usefixtures("every_state")
async def test_one_server_that_is_gone_leaves_the_other_ones_rows(settings: Settings) -> None:
    without_redis = Servers(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))
    page = await find(without_redis, "")
    assert len(page.rows) == 6
    assert "entries in the stream are left out" in page.left_out[0]


async def test_an_origin_is_known_in_every_state(
    servers: Servers, stream: Stream, connection: asyncpg.Connection
) -> None:
    for origin in ("delivery", "reconcile"):
        await stream.publish(contract_event(f"evt_dead_{origin}", "pi_dead", origin=origin))
    for entry in await stream.read("worker-1"):
        await stream.dead_letter(connection, entry, "Timeout: the bank timed out")
    for origin in ("delivery", "reconcile"):
        await stream.publish(contract_event(f"evt_waiting_{origin}", "pi_w", origin=origin))
    await claim(connection, [Row(f"evt_{name}", f"{number}-0") for number, name in enumerate(("plain", "listed"), 1)])
    await connection.execute("UPDATE events SET origin = 'reconcile' WHERE event_id = 'evt_listed'")
    await connection.execute(STATES.replace("evt_held", "evt_listed"))
    listed = ["evt_dead_reconcile", "evt_listed", "evt_waiting_reconcile"]
    assert sorted(str(event_id) for event_id, _ in await found(servers, "origin:reconcile")) == listed
    assert await found(servers, "origin:reconcile status:held") == [("evt_listed", "held")]
    assert await found(servers, "origin:reconcile evt_listed evt_plain") == [("evt_listed", "held")]
    for status in ("conflict", "other_mode", "duplicate"):
        assert await found(servers, f"origin:reconcile status:{status}") == []
    delivered = await found(servers, "origin:delivery")
    assert sorted(str(event_id) for event_id, _ in delivered) == [
        "evt_dead_delivery", "evt_plain", "evt_waiting_delivery",
    ]  # fmt: skip
