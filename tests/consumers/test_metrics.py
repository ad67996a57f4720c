"""A worker's metrics, alone and together with the other workers of its host."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from consumers.bounded_label import LABEL_VALUES_MAX
from consumers.metrics import Metrics
from consumers.metrics_folder import LOCK_TIMEOUT_S
from consumers.stream_stats import GroupState, StreamState, StreamStats
from stack.ports import HOST, free_port
from tests.support.child import Child
from tests.support.processes import ROOT
from tests.support.wait import until

Start = Callable[..., Child]

STAND_IN = ROOT / "tests" / "support" / "stand_in_worker.py"

EVENTS = 5
LIMIT_S = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that PROMETHEUS_MULTIPROC_DIR names."""
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


@pytest.fixture
def start(tmp_path: Path, folder: Path) -> Iterator[Start]:
    """Return a function that starts a stand-in worker, which counts five events. All are killed at the end."""
    children: list[Child] = []

    def launch(port: int) -> Child:
        child = Child(f"stand-in {len(children)}", tmp_path / f"{len(children)}.log")
        children.append(child)
        argv = [sys.executable, str(STAND_IN), "busy", str(port), str(LIMIT_S), str(EVENTS)]
        child.launch(argv, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(folder)})
        return child

    yield launch
    for child in children:
        child.kill()


async def scrape(port: int) -> dict[str, float]:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{HOST}:{port}/metrics") as answer:
            return samples(await answer.text())
    except aiohttp.ClientConnectionError:
        return {}


def samples(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("webhook_consumer_"): float(value) for name, _, value in rows}


def files(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


async def sees(port: int, workers: int, events: int) -> bool:
    found = await scrape(port)
    counted = found.get('events_applied_total{source="stripe"}'), found.get("batch_size_sum")
    return found.get("workers") == workers and counted == (events, events)


def test_every_count_has_its_name() -> None:
    metrics = Metrics()
    metrics.batch(3, 0.004)
    metrics.applied("stripe", 2)
    metrics.duplicates("stripe")
    metrics.dead("stripe")
    metrics.retried("stripe", "failed")
    metrics.busy(4)
    metrics.reclaimed(5)
    metrics.gone(6)
    metrics.infrastructure("redis")
    metrics.group_recreated()
    metrics.progress(age_s=10)
    found = samples(metrics.render().decode())
    expected = {
        'events_applied_total{source="stripe"}': 2, 'events_duplicate_total{source="stripe"}': 1,
        'events_dead_total{source="stripe"}': 1, 'events_retried_total{kind="failed",source="stripe"}': 1,
        "locks_busy_total": 4, "entries_reclaimed_total": 5, "entries_gone_total": 6,
        'infrastructure_failures_total{kind="redis"}': 1, "group_recreated_total": 1, "batch_size_sum": 3,
        "batch_duration_seconds_sum": 0.004, "workers": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_the_stream_stats_are_shown() -> None:
    metrics = Metrics()
    group = GroupState("5-0", 7, lag_is_estimated=False, pending=3, oldest_pending_id="2-0", oldest_pending_idle_ms=500)
    metrics.stream_stats(StreamStats(10_000, StreamState(10, 99, "9-0", "2000-0", group)))
    found = samples(metrics.render().decode())
    expected = {"backlog_entries": 10, "lag_entries": 7, "pending_entries": 3, "oldest_pending_idle_seconds": 0.5,
                "oldest_entry_age_seconds": 8}  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    metrics.stream_stats(StreamStats(10_000, StreamState(10, 99, "9-0", "2000-0", None)))
    assert samples(metrics.render().decode())["lag_entries"] == 10
    metrics.stream_stats(StreamStats(10_000, None))
    assert samples(metrics.render().decode())["backlog_entries"] == 0


def test_a_label_has_no_more_values_than_its_limit() -> None:
    metrics = Metrics()
    for number in range(LABEL_VALUES_MAX + 10):
        metrics.applied(f"source-{number}")
    found = samples(metrics.render().decode())
    values = [name for name in found if name.startswith("events_applied_total")]
    assert len(values) == LABEL_VALUES_MAX + 1
    assert found['events_applied_total{source="other"}'] == 10


async def test_workers_count_together_and_a_dead_worker_s_gauges_disappear(start: Start, folder: Path) -> None:
    port = free_port()
    workers = [start(port) for _ in range(3)]
    await until(lambda: sees(port, 3, 3 * EVENTS), what="all three are counted on the one port")
    workers[0].kill()
    await until(lambda: sees(port, 2, 3 * EVENTS), what="the dead worker is not counted, its events are")
    start(port)
    await until(lambda: sees(port, 3, 4 * EVENTS), what="the new one counts too")
    for worker in workers[1:]:
        worker.kill()
    await until(lambda: sees(port, 1, 4 * EVENTS), what="only the new one is alive")
    assert files(folder, "*.alive") == 3, "as many as ran at once, though four have run"
    assert files(folder, "counter_*.db") == 3
    assert files(folder, "gauge_live*.db") == 3


async def test_a_worker_that_is_killed_repeatedly_does_not_grow_the_folder(start: Start, folder: Path) -> None:
    port = free_port()
    for number in range(1, 5):
        worker = start(port)
        await until(lambda total=number: sees(port, 1, total * EVENTS), what=f"start {number} counts")  # type: ignore[misc]
        worker.kill()
    assert files(folder, "*") < 10


async def test_a_frozen_worker_that_holds_the_folder_stops_no_other(start: Start, folder: Path) -> None:
    holder = Child("holder", folder.parent / "holder.log")
    code = "import fcntl, sys, signal; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); signal.pause()"
    holder.launch([sys.executable, "-c", code, str(folder / "folder.lock")])
    port = free_port()
    try:
        start(port)

        async def answer() -> int:
            try:
                async with aiohttp.ClientSession() as session, session.get(f"http://{HOST}:{port}/metrics") as found:
                    return found.status
            except aiohttp.ClientConnectionError:
                return 0

        assert await until(answer, what=f"an answer after {LOCK_TIMEOUT_S} s") == 503
    finally:
        holder.kill()
    await until(lambda: sees(port, 1, EVENTS), what="the metrics are served once the folder is free")
