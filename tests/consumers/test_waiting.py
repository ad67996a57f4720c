"""What waits for a person, as the workers' gauges show it."""

import asyncio
import os
import time
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from consumers.handlers import Connection, Handlers
from consumers.maintenance import STEPS
from consumers.maintenance.runner import Maintenance
from consumers.metrics import Metrics
from consumers.metrics_folder import MetricsFolder
from consumers.settings import Settings
from consumers.waiting import EVERY_S, Waiting, poll_waiting, read_waiting
from contract.event import Event
from operations.audit import run_audit
from operations.servers import Servers
from runtime.tasks import end
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.wait import TIMEOUT_S, until

DEAD = """
INSERT INTO dead_letters (entry_id, state, reason, traceback, attempts, field_names, field_values)
VALUES ($1, $2, '', '', 1, '{}', '{}')
"""
HELD = """
INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency, released_at)
VALUES ('a', $1, 'p', 's', 'unsigned', 'captured', 'o', 1, 'EUR', $2::timestamptz)
"""
RESTORE = "INSERT INTO restores (key_prefix, server, noticed_by, proof) VALUES ($1, 'redis', 'worker-1', 'p')"
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


def gauges(metrics: Metrics) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in metrics.render().decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("webhook_consumer_"): float(value) for name, _, value in rows}


async def test_what_waits_is_counted_and_what_is_done_is_not(
    connection: asyncpg.Connection, settings: Settings
) -> None:
    prefix = settings.key_prefix
    for number, state in enumerate(("open", "open", "replayed", "discarded")):
        await connection.execute(DEAD, f"{number}-1", state)
    await connection.execute(HELD, "e1", None)
    await connection.execute(RESTORE, prefix)
    await connection.execute(RESTORE, "another installation")
    found = await read_waiting(connection, prefix)
    assert (found.dead_letters, found.conflicts, found.on_hold, found.restores) == (
        2, 0, {"unsigned": 1, "conflict": 0}, 1,
    )  # fmt: skip
    assert (found.audit_findings, found.audited_at_s) == (None, None)


async def test_what_was_never_done_is_as_old_as_its_migration(
    connection: asyncpg.Connection, settings: Settings, redis: Redis
) -> None:
    def due_s(waiting: Waiting) -> float:
        return time.time() - waiting.maintained_at_s["payloads"]

    await connection.execute("UPDATE _pogo_migration SET applied = now() - interval '3 days'")
    assert due_s(await read_waiting(connection, settings.key_prefix)) == pytest.approx(3 * 86400, abs=60)
    await Maintenance(settings, redis).do_what_is_due()
    found = await read_waiting(connection, settings.key_prefix)
    assert due_s(found) == pytest.approx(0, abs=60)
    assert found.oldest_payload_s is None
    metrics = Metrics()
    metrics.waiting.keeps_payloads(400)
    metrics.waiting.show(found)
    shown = gauges(metrics)
    assert shown["payload_age_limit_seconds"] == 433 * 86400
    assert shown["oldest_payload_timestamp_seconds"] == 0
    assert {name for name in shown if name.startswith("maintenance_last_success")} == {
        f'maintenance_last_success_timestamp_seconds{{step="{step.name}"}}' for step in STEPS
    }


async def test_an_audit_keeps_its_result_for_the_workers(workers: Workers, settings: Settings) -> None:
    await workers.publish(1)
    async with workers.working():
        await until(lambda: workers.rows("SELECT FROM events"), what="the event is applied")
    for expected in (0, 1):
        before_s = time.time()
        report = await run_audit(Servers(settings))
        found = await read_waiting(workers.connection, settings.key_prefix)
        assert found.audit_findings == len(report.findings) == expected
        assert found.audited_at_s
        assert abs(found.audited_at_s - before_s) < 60
        await workers.connection.execute(RESTORE, settings.key_prefix)


async def first_report(settings: Settings) -> Waiting | None:
    reports: asyncio.Queue[Waiting | None] = asyncio.Queue()
    task = asyncio.create_task(poll_waiting(settings, lambda _: True, reports.put_nowait))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await reports.get()
    finally:
        await end(task)


async def test_a_worker_shows_whether_postgres_answers(connection: asyncpg.Connection, settings: Settings) -> None:
    await connection.execute(DEAD, "1-1", "open")
    metrics = Metrics()
    metrics.waiting.show(await first_report(settings))
    found = gauges(metrics)
    assert (found["postgres_up"], found["dead_letters_open"], found['facts_on_hold{reason="unsigned"}']) == (1, 1, 0)
    metrics.waiting.show(await first_report(settings.model_copy(update={"database_url": SecretStr(NOWHERE)})))
    found = gauges(metrics)
    assert (found["postgres_up"], found["dead_letters_open"]) == (0, 1), "the last count stays, and says so"


async def test_a_worker_without_the_new_table_reports_no_counts(
    connection: asyncpg.Connection, settings: Settings
) -> None:
    await connection.execute("DROP TABLE audits")
    assert await first_report(settings) is None


def test_the_workers_of_a_host_take_turns(tmp_path: Path) -> None:
    first, second = MetricsFolder(tmp_path), MetricsFolder(tmp_path)
    assert first.takes_turn("postgres", EVERY_S)
    assert not second.takes_turn("postgres", EVERY_S)
    then_s = time.time() - EVERY_S
    os.utime(tmp_path / "postgres.turn", (then_s, then_s))
    assert second.takes_turn("postgres", EVERY_S), "the first one is gone, or frozen"
    assert not first.takes_turn("postgres", EVERY_S)


async def test_durations_are_shown_by_source_and_handler(workers: Workers) -> None:
    handlers = Handlers()

    async def ship(_connection: Connection, _event: Event) -> None:
        """Do nothing."""

    handlers.on("stripe", contract_event("e", "p").type)(ship)
    await workers.publish(3)
    async with workers.working(handlers) as worker:
        await until(lambda: worker.counted("accept_to_commit_seconds_count") == 3, what="three are committed")
        found = gauges(worker.metrics)
    assert found["commit_seconds_count"] >= 1
    (name,) = [name for name in found if name.startswith("handler_duration_seconds_count")]
    assert "ship" in name
    assert found[name] == 3
