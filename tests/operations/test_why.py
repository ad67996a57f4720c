"""What `why` says of an event or payment in each state it can be in, built on real servers; and what it never says."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from consumers.handlers import Handlers, Reject
from consumers.handlers.payments import HANDLERS, builtin
from consumers.settings import Settings
from contract.accounts import PostingRules
from contract.event import Event
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG
from operations.why import postgres_source as in_postgres
from operations.why import redis_source as in_redis
from tests.support.consuming import Workers
from tests.support.events import contract_event, stripe_event
from tests.support.stream_states import Said, Stream, say, settings_for

NOWHERE = "127.0.0.1:1"
LATER_S = 3600


def told(event_id: str, amount: int = 1999, **changes: Any) -> Event:
    """A payment that succeeded; in its body there is what nobody may see."""
    resource = changes.pop("resource", "pi_1")
    fields = {"receipt_email": "ada@example.org", "client_secret": "hush"}
    body = json.dumps(stripe_event(event_id, resource, amount=amount, fields=fields)).encode()
    return contract_event(event_id, resource, body=body, **changes)


def refund(event_id: str, refund_id: str = "re_1", amount: int = 500) -> Event:
    fields = {"id": refund_id, "object": "refund", "payment_intent": "pi_1", "status": "succeeded"}
    body = json.dumps(stripe_event(event_id, "pi_1", "refund.created", amount=amount, fields=fields)).encode()
    return contract_event(event_id, "pi_1", type="refund.created", body=body)


async def apply(workers: Workers, *events: Event, handlers: Handlers = HANDLERS, **changes: Any) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working(handlers, **changes):
        await workers.drained()


async def why(settings: Settings, id_: str, code: int = 0) -> dict[str, Any]:
    """Its document; and what it says to a person is no secret either."""
    said = await say(settings, "why", id_, "--json")
    assert said.code == code, said
    spoken = await say(settings, "why", id_)
    assert spoken.code == code
    for hidden in ("ada@example.org", "hush"):
        assert hidden not in said.text + spoken.text
    document: dict[str, Any] = said.json
    return document


def only(document: dict[str, Any]) -> dict[str, Any]:
    (event,) = document["events"]
    return event  # type: ignore[no-any-return]


def whats(document: dict[str, Any]) -> list[str]:
    return [moment["what"] for moment in document["timeline"]]


async def test_an_event_that_was_applied(workers: Workers) -> None:
    await apply(workers, told("evt_1"))
    document = await why(workers.settings, "evt_1")
    event = only(document)
    assert (event["state"], event["marker"]) == ("applied", {"state": "committed", "entry_id": None})
    assert event["entry_id"] == workers.stream.ids[0]
    assert event["worker"] is event["attempt"] is None
    assert [(fact["kind"], fact["amount"], fact["held_back"]) for fact in event["facts"]] == [
        ("authorized", "19.99", None), ("captured", "19.99", None),
    ]  # fmt: skip
    (payment,) = document["payments"]
    assert payment["state"] | {"first_occurred_at": 0, "last_occurred_at": 0} == {
        "status": "succeeded", "currency": "EUR", "amount": "19.99", "amount_minor": 1999, "captured": "19.99",
        "captured_minor": 1999, "refunded": "0.00", "refunded_minor": 0, "disputed": "0.00", "disputed_minor": 0,
        "contradicted": False, "first_occurred_at": 0, "last_occurred_at": 0,
    }  # fmt: skip
    (transfer,) = payment["transfers"]
    assert transfer | {"booked_at": 0} == {
        "movement": "capture:pi_1", "debit_account": "provider:stripe", "credit_account": "merchant", "amount": "19.99",
        "amount_minor": 1999, "currency": "EUR", "event_id": "evt_1", "booked_at": 0,
    }  # fmt: skip
    assert whats(document) == ["accepted", "committed", "told", "told", "booked"]
    assert document["stuck"] == document["notes"] == []
    said = await say(workers.settings, "why", "evt_1")
    for text in ("stripe/evt_1: payment_intent.succeeded about pi_1, applied.", "is not kept", "capture:pi_1: 19.99 E",
                 "Payments now", "succeeded"):  # fmt: skip
        assert text in said.text


async def test_an_entry_found_applied_already_is_a_duplicate(workers: Workers) -> None:
    await apply(workers, told("evt_1"))
    await apply(workers, told("evt_2"), told("evt_1"))
    first, second, third = workers.stream.ids
    document = await why(workers.settings, "evt_1")
    assert [duplicate["entry_id"] for duplicate in only(document)["duplicates"]] == [third]
    assert whats(document).count("accepted") == 2
    assert whats(document).count("duplicate") == 1
    for entry_id, event_id in ((first, "evt_1"), (second, "evt_2"), (third, "evt_1")):
        assert only(await why(workers.settings, entry_id))["event_id"] == event_id
    assert "booked" in whats(await why(workers.settings, "evt_2")), "which event booked what this one told as well"


@pytest.mark.parametrize("id_", ["pi_1", "stripe/pi_1", "capture:pi_1", "refund:re_1", "re_1"])
async def test_a_payment_is_found_by_its_id_and_by_its_movements(workers: Workers, id_: str) -> None:
    created = contract_event("evt_0", "pi_1", type="payment_intent.something_new")
    await apply(workers, created, told("evt_1"), refund("evt_2"), told("evt_3", resource="pi_2"))
    document = await why(workers.settings, id_)
    assert sorted(event["event_id"] for event in document["events"]) == ["evt_0", "evt_1", "evt_2"]
    (payment,) = document["payments"]
    assert [transfer["movement"] for transfer in payment["transfers"]] == ["capture:pi_1", "refund:re_1"]
    assert payment["state"]["status"] == "partially_refunded"


# What waits.


async def waiting(stream: Stream, event: Event, *, by: str = "worker-2") -> str:
    entry_id = await stream.publish(event)
    await stream.read(by)
    return entry_id


async def stuck(settings: Settings, id_: str = "evt_1") -> tuple[str, str | None]:
    (found,) = (await why(settings, id_))["stuck"]
    return found["why"], found["next"]


async def test_an_event_whose_worker_is_gone(settings: Settings, stream: Stream) -> None:
    entry_id = await waiting(stream, told("evt_1"))
    sentence, step = await stuck(settings)
    assert sentence.startswith("worker-2 is gone (no slot lease); claimed by another worker in 1")
    assert step == "no worker runs: make consumers N=2"
    event = only(await why(settings, "evt_1"))
    assert (event["type"], event["resource"], event["committed_at"]) == ("payment_intent.succeeded", "pi_1", None)
    assert [fact["kind"] for fact in event["facts"]] == ["authorized", "captured"]
    assert (event["state"], event["worker"], event["attempt"]) == ("waiting", "worker-2", 1)
    assert event["marker"] == {"state": "entry", "entry_id": entry_id}
    assert only(await why(settings, "pi_1"))["event_id"] == only(await why(settings, entry_id))["event_id"] == "evt_1"


async def test_an_event_whose_payment_another_worker_has(settings: Settings, stream: Stream) -> None:
    await waiting(stream, told("evt_1"))
    for slot in (2, 3):
        await stream.lease(slot)
    await stream.lock(told("evt_1"), "worker-3")
    assert await stuck(settings) == ("waits for the lock of stripe:pi_1 held by worker-3", None)


async def test_an_event_that_is_tried_again(settings: Settings, stream: Stream) -> None:
    entry_id = await waiting(stream, told("evt_1"))
    await stream.note(entry_id, "retry", "ValueError: no", 3, LATER_S)
    assert (await stuck(settings))[0].startswith("attempt 3 of 10 failed, tried again in 59 min")
    document = await why(settings, "evt_1")
    assert sorted(whats(document)) == ["accepted", "claimed", "failed"]
    assert only(document)["entries"][0]["failure"]["attempt"] == 3


DISK_FULL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION fail();
"""


async def test_an_event_that_waits_for_postgres_says_since_when(workers: Workers) -> None:
    await workers.connection.execute(DISK_FULL)
    await workers.stream.publish(told("evt_1"))
    async with workers.working(outage_delay_ms=60_000, outage_delay_max_ms=60_000, claim_idle_ms=60_000):
        await workers.noted()
        await workers.stream.publish(told("evt_2"))
        sentence, step = await stuck(workers.settings, "evt_1")
        assert sentence.startswith("infrastructure down since 20")
        assert step is None
        sentence, _ = await stuck(workers.settings, "evt_2")
        assert (
            "not read by any worker yet (1 such entries): the workers wait for Redis or Postgres since 20" in sentence
        )


async def test_an_event_that_nobody_has_read(settings: Settings, stream: Stream) -> None:
    await stream.publish(told("evt_1"))
    assert await stuck(settings) == (
        "in the stream, and not read by any worker yet (1 such entries): no worker runs", "make consumers N=2",
    )  # fmt: skip
    await waiting(stream, told("evt_0"), by="worker-1")
    await stream.lease(1)
    await stream.publish(told("evt_2"))
    assert (await stuck(settings, "evt_2"))[0].endswith("1 workers read them in their order")


async def test_an_entry_that_is_no_envelope(settings: Settings, stream: Stream, connection: asyncpg.Connection) -> None:
    entry_id = await stream.publish_fields(["v", "9"])
    (entry,) = await stream.read("worker-1")
    assert only(await why(settings, entry_id))["state"] == "waiting"
    await stream.bury(connection, entry, "envelope version 9")
    assert only(await why(settings, entry_id))["state"] == "dead"


# What waits for a person.


async def rejected(workers: Workers) -> int:
    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def refuse(_: object, __: Event) -> None:
        raise Reject("no such order")

    await apply(workers, told("evt_1"), handlers=handlers)
    return int(await workers.connection.fetchval("SELECT id FROM dead_letters"))


async def test_an_event_that_is_dead(workers: Workers) -> None:
    number = await rejected(workers)
    sentence, step = await stuck(workers.settings)
    assert sentence == f"in the dead letters as number {number}, after 1 attempts: no such order"
    assert step == f"once the cause is gone: make replay ID={number}; to give it up: make discard ID={number}"
    document = await why(workers.settings, "pi_1")
    assert whats(document) == ["accepted", "dead"]
    assert only(document)["dead_letters"][0]["attempts"] == 1
    assert only(document)["marker"] == {"state": "none", "entry_id": None}


async def test_an_event_that_was_replayed(workers: Workers) -> None:
    number = await rejected(workers)
    assert (await say(workers.settings, "replay", str(number))).code == 0
    assert only(await why(workers.settings, "evt_1"))["state"] == "unread"
    await apply(workers)
    document = await why(workers.settings, "evt_1")
    assert only(document)["state"] == "applied"
    assert only(document)["dead_letters"][0]["state"] == "replayed"
    assert [what for what in whats(document) if what in ("dead", "replayed", "committed")] == [
        "dead", "replayed", "committed",
    ]  # fmt: skip


async def test_an_event_that_was_given_up(workers: Workers) -> None:
    await say(workers.settings, "discard", str(await rejected(workers)))
    document = await why(workers.settings, "evt_1")
    assert (only(document)["state"], document["stuck"]) == ("discarded", [])


async def test_money_that_is_stopped_by_a_conflict(workers: Workers) -> None:
    await apply(workers, told("evt_1", 700))
    await apply(workers, told("evt_2", 800))
    await apply(workers, refund("evt_3"))
    number = await workers.connection.fetchval("SELECT id FROM conflicts")
    sentence = f"money stopped by conflict {number}: of capture:pi_1 7.00 EUR is booked, and evt_2 tells 8.00 EUR"
    for id_ in ("pi_1", "evt_2", "re_1"):
        assert await stuck(workers.settings, id_) == (sentence, f"make resolve ID={number} KEEP=booked, or KEEP=told")
    document = await why(workers.settings, "pi_1")
    assert document["payments"][0]["conflicts"][0]["told"] == {"amount": "8.00", "amount_minor": 800, "currency": "EUR"}
    assert document["payments"][0]["conflicts"][0]["booked"]["amount"] == "7.00"
    assert {"conflict", "held_back"} <= set(whats(document))
    (held,) = [fact for event in document["events"] for fact in event["facts"] if fact["held_back"]]
    assert (held["kind"], held["object"], held["held_back"]) == ("refunded", "re_1", "conflict")


async def test_facts_that_are_held_back_because_nobody_signed_them(workers: Workers) -> None:
    await apply(workers, told("evt_1", signed="weak"))
    sentence, step = await stuck(workers.settings)
    assert sentence.startswith("held back, because the signature of source stripe does not cover what was told: autho")
    step_expected = (
        'if it is to be believed: trust = "all" below [stripe] in sources.toml, then make release SOURCE=stripe'
    )
    assert step == step_expected
    document = await why(workers.settings, "pi_1")
    assert {fact["held_back"] for fact in only(document)["facts"]} == {"unsigned"}
    assert document["payments"][0]["state"] is None
    await apply(
        workers, told("evt_2", signed="weak", resource="pi_2"), handlers=builtin({"stripe": PostingRules("all")})
    )
    assert (await why(workers.settings, "evt_2"))["stuck"] == []


async def test_an_event_whose_entry_was_deleted(settings: Settings, stream: Stream) -> None:
    entry_id = await stream.publish(told("evt_1"))
    await stream.redis.xdel(stream.keys.events, entry_id)
    settings = settings.model_copy(update={"sources_file": "sources.toml"})
    sentence, step = await stuck(settings)
    assert sentence.startswith(f"accepted as entry {entry_id}, which is neither in the stream nor recorded")
    assert step
    assert "make audit" in step


# What cannot be told.


async def test_an_id_that_nobody_knows(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    said: Said = await say(settings, "why", "evt_x/1")
    assert (said.code, said.text) == (EXIT_WRONG, "")
    errors = capsys.readouterr().err
    assert errors.startswith("Nothing is known of 'evt_x/1'. Looked at was Redis: the entries in the stream")
    assert "Postgres: events, duplicates" in errors
    document = (await say(settings, "why", "nobody", "--json")).json
    assert document["found"] is False
    assert len(document["looked"]) == 2


async def test_an_id_that_several_namespaces_know(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, told("evt_1"), told("evt_1", namespace="acme"))
    document = await why(workers.settings, "evt_1", EXIT_WRONG)
    assert document["namespaces"] == ["acme", "stripe"]
    assert "name one: acme/evt_1, stripe/evt_1." in capsys.readouterr().err
    for namespace in ("acme", "stripe"):
        assert only(await why(workers.settings, f"{namespace}/evt_1"))["namespace"] == namespace


async def test_without_redis_the_other_half_is_shown(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, told("evt_1"))
    url = workers.settings.database_url.get_secret_value()
    without = settings_for(f"redis://:hush@{NOWHERE}", url, workers.settings.key_prefix)
    document = await why(without, "evt_1", EXIT_UNREACHABLE)
    assert (only(document)["state"], only(document)["marker"]) == ("applied", None)
    assert document["asked"]["postgres"] is None
    assert "Redis was not asked: Redis does not answer" in capsys.readouterr().err
    assert (await why(without, "nobody", EXIT_UNREACHABLE))["found"] is False


async def test_without_postgres_the_other_half_is_shown(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, told("evt_1"))
    await waiting(workers.stream, told("evt_2"))
    url = workers.settings.redis_url.get_secret_value()
    without = settings_for(url, f"postgresql://u:hush@{NOWHERE}/x", workers.settings.key_prefix)
    event = only(await why(without, "evt_1", EXIT_UNREACHABLE))
    assert (event["state"], event["sentence"]) == (
        "applied", "applied, as its marker in Redis says; Postgres was not asked",
    )  # fmt: skip
    (found,) = (await why(without, "pi_1", EXIT_UNREACHABLE))["stuck"]
    assert found["about"] == "stripe/evt_2"
    assert found["why"].endswith("Postgres does not answer now, and nothing is applied until it does")
    assert "Postgres was not asked: PostgreSQL does not answer" in capsys.readouterr().err
    await workers.stream.publish(told("evt_3", resource="pi_3"))
    (found,) = (await why(without, "evt_3", EXIT_UNREACHABLE))["stuck"]
    assert found["why"].endswith("no worker runs; Postgres does not answer now, and nothing is applied until it does")


async def test_bytes_that_are_not_kept_or_not_read_are_said(workers: Workers) -> None:
    other = contract_event("evt_2", "r", provider="github", source="github", namespace="github")
    await apply(workers, told("evt_1"), other)
    await workers.connection.execute("DELETE FROM payloads WHERE event_id = 'evt_1'")
    assert only(await why(workers.settings, "evt_1"))["facts_problem"] == "its bytes are not kept any more"
    assert "move no money" in only(await why(workers.settings, "evt_2"))["facts_problem"]
    assert only(await why(workers.settings, "r"))["event_id"] == "evt_2", "it is found by reading the events"


async def test_sources_that_cannot_be_read_are_a_note(workers: Workers, tmp_path: Path) -> None:
    await apply(workers, told("evt_1"))
    (tmp_path / "sources.toml").write_text("[stripe")
    broken = workers.settings.model_copy(update={"sources_file": str(tmp_path / "sources.toml")})
    assert "cannot be read" in (await why(broken, "evt_1"))["notes"][0]


# What is large.


async def test_a_long_backlog_is_looked_through_page_by_page(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_redis, "ENTRIES_AT_ONCE", 2)
    for number in range(7):
        await stream.publish(told(f"evt_{number}", resource=f"pi_{number}"))
    assert only(await why(settings, "pi_6"))["event_id"] == "evt_6"
    monkeypatch.setattr(in_redis, "STREAM_LOOK_S", 0)
    document = await why(settings, "evt_6")
    assert only(document)["state"] == "unread", "its marker names its entry"
    assert "what comes later is not shown" in document["notes"][0]


async def test_a_large_table_is_read_from_its_newest_rows_on(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = """
        INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
        SELECT 'stripe', 'evt_' || n, 'stripe', 'stripe', n || '-0', 't', 'pi_' || n, 'body', now()
        FROM generate_series(1, 2000) AS n
    """
    await workers.connection.execute(fill)
    monkeypatch.setattr(in_postgres, "SCAN_PAGES", 1)
    assert only(await why(workers.settings, "pi_1"))["event_id"] == "evt_1"
    monkeypatch.setattr(in_postgres, "SCAN_S", 0)
    document = await why(workers.settings, "pi_2000")
    assert only(document)["event_id"] == "evt_2000"
    assert "the events were looked through back to 20" in document["notes"][0]
    assert (await why(workers.settings, "pi_1", EXIT_WRONG))["found"] is False
    await workers.connection.execute("ANALYZE events")
    for name, arguments, expected in (
        ("scan_events", ((0, 0), (9, 0), "pi_1"), "Tid Range Scan"),
        ("list_namespaces", (), "Index Only Scan using events_pkey"),
    ):
        plan = "\n".join(row[0] for row in await workers.connection.fetch(
            "EXPLAIN " + in_postgres.WHY[name], *arguments))  # fmt: skip
        assert expected in plan, name
        assert "Seq Scan on events" not in plan, name
