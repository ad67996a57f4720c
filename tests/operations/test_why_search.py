"""How `why` searches: unknown and ambiguous ids, unreachable servers, long backlogs and large tables."""

from pathlib import Path

import pytest

from consumers.settings import Settings
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG
from operations.why import explain, postgres_source, redis_source
from operations.why.model import SearchTime
from tests.support.asking_why import apply, ask_why, only_event, publish_and_read, succeeded
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.stream_states import Said, Stream, say, settings_for

NOWHERE = "127.0.0.1:1"


async def test_an_unknown_id(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    said: Said = await say(settings, "why", "evt_x/1")
    assert (said.code, said.text) == (EXIT_WRONG, "")
    errors = capsys.readouterr().err
    assert errors.startswith("Nothing is known of 'evt_x/1'. Searched: Redis: the entries in the stream")
    assert "Postgres: events, duplicates" in errors
    document = (await say(settings, "why", "nobody", "--json")).json
    assert document["found"] is False
    assert len(document["looked"]) == 2


async def test_an_id_that_several_namespaces_know(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, succeeded("evt_1"), succeeded("evt_1", namespace="acme"))
    document = await ask_why(workers.settings, "evt_1", EXIT_WRONG)
    assert document["namespaces"] == ["acme", "stripe"]
    assert "name one: acme/evt_1, stripe/evt_1." in capsys.readouterr().err
    for namespace in ("acme", "stripe"):
        assert only_event(await ask_why(workers.settings, f"{namespace}/evt_1"))["namespace"] == namespace


async def test_without_redis_postgres_is_still_shown(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, succeeded("evt_1"))
    url = workers.settings.database_url.get_secret_value()
    without = settings_for(f"redis://:hush@{NOWHERE}", url, workers.settings.key_prefix)
    document = await ask_why(without, "evt_1", EXIT_UNREACHABLE)
    assert (only_event(document)["state"], only_event(document)["marker"]) == ("applied", None)
    assert document["asked"]["postgres"] is None
    assert "Redis was not asked: Redis does not answer" in capsys.readouterr().err
    assert (await ask_why(without, "nobody", EXIT_UNREACHABLE))["found"] is False


async def test_without_postgres_redis_is_still_shown(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    await apply(workers, succeeded("evt_1"))
    await publish_and_read(workers.stream, succeeded("evt_2"))
    url = workers.settings.redis_url.get_secret_value()
    without = settings_for(url, f"postgresql://u:hush@{NOWHERE}/x", workers.settings.key_prefix)
    event = only_event(await ask_why(without, "evt_1", EXIT_UNREACHABLE))
    assert (event["state"], event["sentence"]) == (
        "applied", "applied, as its marker in Redis says; Postgres was not asked",
    )  # fmt: skip
    (found,) = (await ask_why(without, "pi_1", EXIT_UNREACHABLE))["stuck"]
    assert found["about"] == "stripe/evt_2"
    assert found["why"].endswith("Postgres does not answer now, and nothing is applied until it does")
    assert "Postgres was not asked: PostgreSQL does not answer" in capsys.readouterr().err
    await workers.stream.publish(succeeded("evt_3", resource="pi_3"))
    (found,) = (await ask_why(without, "evt_3", EXIT_UNREACHABLE))["stuck"]
    assert found["why"].endswith("no worker runs; Postgres does not answer now, and nothing is applied until it does")


async def test_bodies_that_are_deleted_or_not_read_are_reported(workers: Workers) -> None:
    other = contract_event("evt_2", "r", provider="github", source="github", namespace="github")
    await apply(workers, succeeded("evt_1"), other)
    await workers.connection.execute("DELETE FROM payloads WHERE event_id = 'evt_1'")
    assert only_event(await ask_why(workers.settings, "evt_1"))["facts_problem"] == "its bytes are not kept any more"
    assert "move no money" in only_event(await ask_why(workers.settings, "evt_2"))["facts_problem"]
    assert only_event(await ask_why(workers.settings, "r"))["event_id"] == "evt_2", "it is found by scanning the events"


async def test_an_unreadable_sources_file_is_a_note(workers: Workers, tmp_path: Path) -> None:
    await apply(workers, succeeded("evt_1"))
    (tmp_path / "sources.toml").write_text("[stripe")
    broken = workers.settings.model_copy(update={"sources_file": tmp_path / "sources.toml"})
    assert "cannot be read" in (await ask_why(broken, "evt_1"))["notes"][0]


async def test_a_long_backlog_is_searched_page_by_page(
    settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_source, "ENTRIES_AT_ONCE", 2)
    for number in range(7):
        await stream.publish(succeeded(f"evt_{number}", resource=f"pi_{number}"))
    assert only_event(await ask_why(settings, "pi_6"))["event_id"] == "evt_6"
    monkeypatch.setattr(explain, "FOR_A_COMMAND", SearchTime(stream_s=0))
    document = await ask_why(settings, "evt_6")
    assert only_event(document)["state"] == "unread", "its marker names its entry"
    assert "later entries are not shown" in document["notes"][0]


async def test_a_large_table_is_read_from_its_newest_rows_on(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = """
        INSERT INTO events (namespace, event_id, source, provider, entry_id, type, resource, signed, received_at)
        SELECT 'stripe', 'evt_' || n, 'stripe', 'stripe', n || '-0', 't', 'pi_' || n, 'body', now()
        FROM generate_series(1, 2000) AS n
    """
    await workers.connection.execute(fill)
    monkeypatch.setattr(explain, "FOR_A_COMMAND", SearchTime(table_pages=1))
    assert only_event(await ask_why(workers.settings, "pi_1"))["event_id"] == "evt_1"
    monkeypatch.setattr(explain, "FOR_A_COMMAND", SearchTime(table_pages=1, table_s=0))
    document = await ask_why(workers.settings, "pi_2000")
    assert only_event(document)["event_id"] == "evt_2000"
    assert "the events were searched back to 20" in document["notes"][0]
    assert (await ask_why(workers.settings, "pi_1", EXIT_WRONG))["found"] is False
    await workers.connection.execute("ANALYZE events")
    pages = {"first_page": (0, 0), "end_page": (9, 0)}
    for name, values, expected in (
        ("scan_events", pages | {"id": "pi_1"}, "Tid Range Scan"),
        ("list_namespaces", {}, "Index Only Scan using events_pkey"),
    ):
        text, *arguments = postgres_source.WHY.bind(name, **values)
        plan = "\n".join(row[0] for row in await workers.connection.fetch("EXPLAIN " + text, *arguments))
        assert expected in plan, name
        assert "Seq Scan on events" not in plan, name
