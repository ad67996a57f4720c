"""Workers show how completely has arrived what providers list."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from consumers.metrics import Metrics
from consumers.reconcile_gauges import read_compared, read_intervals
from consumers.settings import Settings
from consumers.waiting import read_waiting
from contract.accounts import PostingRulesError
from tests.consumers.test_waiting import gauges
from tests.support.compared import was_compared, was_found

UNTIL = datetime(2026, 11, 26, 14, 5, tzinfo=UTC)
PREFIX = "reconcile_"


async def test_each_source_is_shown_with_what_differs(connection: asyncpg.Connection, settings: Settings) -> None:
    await was_compared(connection, "stripe", until=UNTIL)
    await was_compared(connection, "square", until=UNTIL - timedelta(hours=1), failures=3)
    for name in ("evt_1", "evt_2", "evt_3"):
        await was_found(connection, name)
    await was_found(connection, "evt_4", repaired_at=UNTIL, entry_id="1-1")
    await was_found(connection, "evt_5", resolved_at=UNTIL)
    await was_found(connection, "evt_6", "extra")
    metrics = Metrics()
    metrics.waiting.reconcile.expect({"stripe": 3600, "paddle": 900})
    metrics.waiting.show(await read_waiting(connection, settings.key_prefix))
    shown = {name.removeprefix(PREFIX): value for name, value in gauges(metrics).items() if name.startswith(PREFIX)}
    until_s = UNTIL.timestamp()
    assert shown == {
        'complete_until_timestamp_seconds{source="stripe"}': until_s,
        'complete_until_timestamp_seconds{source="square"}': until_s - 3600,
        'complete_until_timestamp_seconds{source="paddle"}': 0,
        'last_success_timestamp_seconds{source="stripe"}': until_s,
        'last_success_timestamp_seconds{source="square"}': until_s - 3600,
        'failures{source="stripe"}': 0,
        'failures{source="square"}': 3,
        'findings_open{kind="missing",source="stripe"}': 3,
        'findings_open{kind="extra",source="stripe"}': 1,
        'findings_open{kind="different",source="stripe"}': 0,
        'findings_open{kind="missing",source="square"}': 0,
        'findings_open{kind="extra",source="square"}': 0,
        'findings_open{kind="different",source="square"}': 0,
        'interval_seconds{source="stripe"}': 3600,
        'interval_seconds{source="paddle"}': 900,
    }


async def test_nothing_is_shown_where_nothing_is_compared(connection: asyncpg.Connection) -> None:
    assert await read_compared(connection) == []


def test_the_intervals_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sources.toml"
    file.write_text('[a]\nreconcile_every = "15m"\n[b]\nprovider = "stripe"\n')
    assert read_intervals(file) == {"a": 900}
    assert read_intervals(tmp_path / "absent.toml") == {}
    file.write_text('[a]\nreconcile_every = "often"\n')
    with pytest.raises(PostingRulesError, match=r"sources\.toml: \[a\] reconcile_every: not a duration such as 15m"):
        read_intervals(file)
