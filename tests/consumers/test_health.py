"""A worker that makes no progress ends itself; one that waits for its infrastructure does not."""

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from consumers import health
from consumers.health import EXIT_STUCK, Progress, serve
from consumers.metrics import Metrics
from stack.ports import HOST, free_port
from tests.support.child import Child
from tests.support.events import contract_event
from tests.support.processes import ROOT
from tests.support.servers import ValkeyServer
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until

LIMIT_S = 1.0

NOWHERE = f"redis://{HOST}:1"

Start = Callable[..., Child]

STAND_IN = ROOT / "tests" / "support" / "stand_in_worker.py"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a stand-in worker. All are killed at the end."""
    children: list[Child] = []

    def launch(how: str, port: int = 0) -> Child:
        child = Child(f"stand-in {len(children)}", tmp_path / f"{len(children)}.log")
        children.append(child)
        argv = [sys.executable, str(STAND_IN), how, str(port), str(LIMIT_S), "1"]
        child.launch(argv, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
        return child

    yield launch
    for child in children:
        child.kill()


async def get(port: int, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{HOST}:{port}{path}") as answer:
        return answer.status, await (answer.json() if path != "/metrics" else answer.text())


async def answers(port: int) -> bool:
    try:
        return (await get(port, "/healthz"))[0] == 200
    except aiohttp.ClientConnectionError:
        return False


@pytest.mark.parametrize("how", ["idle", "asleep"])
def test_a_worker_without_progress_ends_itself_and_prints_its_tracebacks(start: Start, how: str) -> None:
    child = start(how)
    assert child.wait() == EXIT_STUCK
    assert "No progress for 1." in child.log
    assert "the last was: a start" in child.log
    assert "stand_in_worker.py" in child.log


def test_a_worker_that_blocks_all_threads_is_ended_too(start: Start) -> None:
    child = start("in C")
    assert child.wait() == 1
    assert "Timeout (0:00:02)!" in child.log
    assert "stand_in_worker.py" in child.log


async def test_a_worker_that_waits_for_infrastructure_is_alive_but_not_ready(start: Start) -> None:
    port = free_port()
    child = start("in an outage", port)

    async def outage() -> bool:
        try:
            return (await get(port, "/readyz"))[1]["reason"] is not None
        except aiohttp.ClientConnectionError:
            return False

    await until(outage, what="the worker reports that it waits")
    status, document = await get(port, "/readyz")
    assert (status, document["reason"], document["last"]) == (503, "Redis: connection refused", "a start")
    status, document = await get(port, "/healthz")
    assert (status, document["ok"], document["pid"]) == (200, True, child.pid)
    assert document["age_s"] < LIMIT_S


async def test_a_worker_answers_its_health_checks() -> None:
    port = free_port()
    settings = settings_for(NOWHERE, "postgresql://x", "test", CONSUMERS_METRICS_PORT=port)
    progress = Progress()
    async with serve(settings, Metrics(), progress) as served:
        assert served == port
        assert (await get(port, "/readyz"))[0] == 503
        progress.made("a batch")
        assert (await get(port, "/readyz"))[0] == 200
        assert (await get(port, "/healthz"))[1]["last"] == "a batch"
        status, text = await get(port, "/metrics")
        assert status == 200
        assert "webhook_consumer_workers 1.0" in text
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(port, "/healthz")


async def test_no_port_means_no_server() -> None:
    settings = settings_for(NOWHERE, "postgresql://x", "test")
    async with serve(settings, Metrics(), Progress()) as served:
        assert served == 0


async def test_a_worker_works_without_its_metrics_port_and_takes_it_once_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "LISTEN_AGAIN_S", 0.05)
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        settings = settings_for(NOWHERE, "postgresql://x", "test", CONSUMERS_METRICS_PORT=port)
        server = serve(settings, Metrics(), Progress())
        with capture_logs() as logged:
            assert await server.__aenter__() == port
    [line] = [each for each in logged if each["log_level"] == "warning"]
    assert "it works all the same" in line["event"]
    assert (line["port"], line["reason"]) == (port, "Address already in use")
    await until(lambda: answers(port), what="the port is used once it is free")
    await server.__aexit__(None, None, None)
    assert not await answers(port)


async def test_the_backlog_is_shown(valkey: ValkeyServer, stream: Stream, key_prefix: str) -> None:
    await stream.publish(contract_event())
    port = free_port()
    settings = settings_for(valkey.url, "postgresql://x", key_prefix, CONSUMERS_METRICS_PORT=port)

    async def is_measured() -> bool:
        return "webhook_consumer_backlog_entries 1.0" in (await get(port, "/metrics"))[1]

    async with serve(settings, Metrics(), Progress()):
        await until(is_measured, what="the backlog is shown")
