"""The embedded stack, run by its commands: up, scale, kill -9, down."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stack.state import read
from tests.support.checkout import PROGRAMS, Checkout
from tests.support.wait import until_sync


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout whose stack is stopped at the end."""
    stack = Checkout(tmp_path)
    yield stack
    stack.run("down")


def pids(processes: dict[str, list[int]]) -> set[int]:
    return {pid for found in processes.values() for pid in found}


def test_up_scale_and_down(checkout: Checkout) -> None:
    assert "WEBHOOK_SECRET" in checkout.run("up")
    first = checkout.processes()
    assert {name: len(found) for name, found in first.items()} == dict.fromkeys(PROGRAMS, 1)
    environment = (checkout.data_dir / "stack.env").read_text()
    assert f"GATEWAY_URL=http://127.0.0.1:{checkout.environ['GATEWAY_PORT']}" in environment

    assert "Everything ran already" in checkout.run("up")
    assert checkout.processes() == first

    checkout.run("scale", "3")
    three = checkout.processes()["consumers"]
    assert len(three) == 3
    assert set(first["consumers"]) < set(three)
    checkout.run("scale", "1")
    [left] = checkout.processes()["consumers"]
    assert left in three

    assert "Everything ran already" in checkout.run("up")
    running = pids(checkout.processes())
    manager = checkout.manager
    assert "data is kept" in checkout.run("down")
    until_sync(lambda: not any(map(_lives, {*running, manager or 0})), what="nothing is left running")
    assert "Nothing ran" in checkout.run("down")
    assert "Nothing runs" in checkout.run("status", code=1)


def test_two_stacks_started_at_once_choose_different_ports(tmp_path: Path) -> None:
    both = [Checkout(tmp_path / name) for name in ("one", "other")]
    try:
        for each in both:
            each.folder.mkdir()
        with ThreadPoolExecutor(len(both)) as threads:
            list(threads.map(lambda each: each.run("up"), both))
        one, other = (read(each.data_dir) for each in both)
        assert one
        assert other
        assert not {one.ports.redis, one.ports.postgres} & {other.ports.redis, other.ports.postgres}
    finally:
        for each in both:
            each.run("down")


def test_killed_processes_are_restarted_and_counted(checkout: Checkout) -> None:
    checkout.run("up")
    before = checkout.processes()
    for pid in pids(before):
        os.kill(pid, signal.SIGKILL)
    until_sync(lambda: not pids(checkout.processes()) & pids(before), what="the killed processes are gone")
    until_sync(lambda: all(checkout.processes().values()), what="every program runs again")
    checkout.run("up")
    status = json.loads(checkout.run("status", "--json"))
    assert {process["name"] for process in status["processes"]} == set(PROGRAMS)
    assert {process["restarts"] for process in status["processes"]} == {1}
    assert status["missing"] == []
    assert status["consumers"]


def test_no_program_outlives_its_killed_manager_and_up_starts_them_again(checkout: Checkout) -> None:
    checkout.run("up")
    before = pids(checkout.processes())
    assert checkout.manager
    os.kill(checkout.manager, signal.SIGKILL)
    until_sync(lambda: not any(map(_lives, before)), what="what the manager started has stopped")
    checkout.run("up")
    assert not pids(checkout.processes()) & before


def test_no_program_outlives_the_removal_of_its_folder(checkout: Checkout) -> None:
    checkout.run("up")
    left = {*pids(checkout.processes()), checkout.manager or 0}
    checkout.data_dir.rename(checkout.data_dir.with_name("moved"))
    until_sync(lambda: not any(map(_lives, left)), what="what wrote into the folder has stopped")


def test_a_gateway_that_cannot_start_is_reported_with_the_reason(checkout: Checkout) -> None:
    (checkout.folder / "sources.toml").write_text('[broken]\nprovider = "unknown"\nsecrets = ["s"]\n')
    checkout.environ["SOURCES_FILE"] = str(checkout.folder / "sources.toml")
    output = checkout.run("up", code=1)
    assert "gateway does not answer" in output
    assert "[broken]" in output
    for secret in (line.partition("=")[2] for line in (checkout.folder / ".env").read_text().splitlines()):
        assert not secret or secret not in output


def _lives(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")
