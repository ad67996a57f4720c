"""The embedded stack, run by its commands: up, scale, kill -9, down."""

import json
import os
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stack.ports import HOST
from stack.state import read
from tests.support.checkout import PROGRAMS, Checkout
from tests.support.tls import write_certificate
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

    assert "events are accepted and wait" in checkout.run("scale", "0")
    checkout.run("send", "default")
    last_line = checkout.run("scale", "0").splitlines()[-1]
    assert last_line == "No worker runs: 1 event waits, and nothing is applied until `make consumers N=2`."
    checkout.run("scale", "1")

    assert "Everything ran already" in checkout.run("up")
    running = pids(checkout.processes())
    manager = checkout.manager
    assert "data is kept" in checkout.run("down")
    until_sync(lambda: not any(map(_lives, {*running, manager or 0})), what="nothing is left running")
    assert "Nothing ran" in checkout.run("down")
    assert "Nothing runs" in checkout.run("status", code=1)


def test_up_with_tls_prints_an_https_address_that_answers(checkout: Checkout) -> None:
    checkout.environ |= write_certificate(checkout.folder)
    url = f"https://localhost:{checkout.environ['GATEWAY_PORT']}"
    assert f"Webhooks go to {url.replace('localhost', HOST)}/webhooks/<source>" in checkout.run("up")
    environment = (checkout.data_dir / "stack.env").read_text().splitlines()
    assert f"GATEWAY_URL={url.replace('localhost', HOST)}" in environment
    trusted = ssl.create_default_context(cafile=checkout.environ["GATEWAY_TLS_CERT"])
    with urllib.request.urlopen(f"{url}/healthz", context=trusted) as answer:
        assert answer.status == 200
    assert "Everything ran already" in checkout.run("up")
    report = json.loads(checkout.run("demo", "--times", "1", "--json"))
    assert report["passed"]
    assert report["sent"] == report["accepted"] == report["committed"]


def test_with_a_mistake_in_dotenv_the_stack_can_be_seen_and_stopped_but_not_changed(checkout: Checkout) -> None:
    checkout.run("up")
    before = checkout.processes()
    with (checkout.folder / ".env").open("a") as file:
        file.write("GATEWAY_PROT=1\nUP_TIMEOUT_S=soon\n")
    problems = "  - GATEWAY_PROT is not a setting; did you mean GATEWAY_PORT?\n  - UP_TIMEOUT_S: it is not a number\n"
    for command in (["up"], ["scale", "2"], ["exec", "true"], ["demo"]):
        assert checkout.run(*command, code=2) == f"The settings cannot be used, so nothing was done:\n{problems}"
    assert checkout.processes() == before

    warning = f"Some settings cannot be used and are ignored:\n{problems}"
    status = checkout.run("status")
    assert warning in status
    assert all(name in status for name in PROGRAMS)
    logs = checkout.run("logs", "--no-follow")
    assert warning in logs
    assert "gateway" in logs.replace(warning, "")
    down = checkout.run("down")
    assert warning in down
    assert "data is kept" in down
    assert "Nothing runs" in checkout.run("status", code=1)


@pytest.mark.parametrize(
    ("number", "problem"), [("x", "'x' is not a whole number"), ("257", "257 is not 0 to 256")], ids=str
)
def test_a_wrong_number_of_workers_is_named_in_plain_words(tmp_path: Path, number: str, problem: str) -> None:
    assert f"argument N: {problem}\n" in Checkout(tmp_path).run("scale", number, code=2)


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


def test_nothing_is_started_with_a_source_that_cannot_be_used(checkout: Checkout) -> None:
    (checkout.folder / "sources.toml").write_text('[broken]\nprovider = "unknown"\nsecrets = ["s"]\n')
    checkout.environ["SOURCES_FILE"] = str(checkout.folder / "sources.toml")
    output = checkout.run("up", code=2)
    assert "Nothing was started or stopped" in output
    assert "[broken]" in output
    assert not checkout.manager
    for secret in (line.partition("=")[2] for line in (checkout.folder / ".env").read_text().splitlines()):
        assert not secret or secret not in output


def _lives(pid: int) -> bool:
    """Return whether a process runs. A zombie does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")
