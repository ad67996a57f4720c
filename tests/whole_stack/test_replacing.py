"""`make up` after a change: what did not change runs on, and no request is refused meanwhile."""

import asyncio
import hashlib
import hmac
import http.client
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from runtime.env_file import read_env_file
from stack.ports import HOST
from tests.support.checkout import ROOT, Checkout
from tests.support.wait import until_sync

ROOMS = ("contract", "runtime", "providers", "gateway", "consumers", "ledger", "operations", "sql", "stack")

PER_SECOND = 40

SOURCES = """
[default]
provider = "hmac"
secrets = ["${WEBHOOK_SECRET}", "${NEXT_SECRET}"]
"""

HANDLERS = """
from consumers.handlers import Handlers
handlers = Handlers()
"""


class Sender:
    """A provider that sends events, each over a connection of its own, and notes the answers."""

    def __init__(self, port: int, secret: str) -> None:
        self._port = port
        self._secret = secret.encode()
        self._stop = threading.Event()
        self.answers: list[str] = []
        self.slowest_s = 0.0

    @contextmanager
    def sending(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send_all, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _send_all(self, thread: int) -> None:
        for number in range(100_000):
            if self._stop.is_set():
                return
            due = time.monotonic() + 4 / PER_SECOND
            started = time.monotonic()
            self.answers.append(self._send(f"tx_{thread}_{number}"))
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _send(self, payment: str) -> str:
        body = json.dumps({"transaction_id": payment, "status": "COMPLETED", "amount": "1.00", "currency": "EUR"})
        signature = hmac.new(self._secret, body.encode(), hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection(HOST, self._port, timeout=30)
        try:
            connection.request("POST", "/webhook", body, {"X-Signature": signature, "Content-Type": "application/json"})
            return str(connection.getresponse().status)
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout with a copy of the code, a worker, and sources and handlers of its own."""
    code = tmp_path / "code"
    for room in ROOMS:
        # With what is compiled, or each program compiles all of it; without what another one is just writing.
        shutil.copytree(ROOT / room, code / room, ignore=shutil.ignore_patterns("*.pyc.*"))
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, code / name)
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "sources.toml").write_text(SOURCES)
    (folder / "mine.py").write_text(HANDLERS)
    (folder / ".env").write_text("NEXT_SECRET=next\n")
    stack = Checkout(folder, {
        "PYTHONPATH": str(code), "SOURCES_FILE": "sources.toml", "HANDLERS": "mine:handlers", "HANDLERS_FOLDER": ".",
        "CONSUMERS": "1",
    })  # fmt: skip
    yield stack
    stack.run("down")


def applied(checkout: Checkout) -> tuple[int, int]:
    """Return how many events were applied, and how many of their payments moved money."""
    url = read_env_file(checkout.data_dir / "stack.env")["DATABASE_URL"]

    async def count() -> tuple[int, int]:
        connection = await asyncpg.connect(url)
        try:
            events = await connection.fetchval("SELECT count(*) FROM events")
            return events, await connection.fetchval("SELECT count(*) FROM transfers")
        finally:
            await connection.close()

    return asyncio.run(count())


def changes(checkout: Checkout) -> Iterator[tuple[str, set[str]]]:
    """Change one thing after another, and yield what it was, and which programs are replaced."""
    env, code = checkout.folder / ".env", Path(checkout.environ["PYTHONPATH"])
    env.write_text(env.read_text().replace("NEXT_SECRET=next", "NEXT_SECRET=another"))
    (checkout.folder / "sources.toml").write_text(SOURCES + '[more]\nprovider = "hmac"\nsecrets = ["x"]\n')
    yield "a secret, and a source, whose posting rules workers read", {"gateway", "consumers"}
    (checkout.folder / "mine.py").write_text(HANDLERS + "# changed\n")
    yield "the code of a handler", {"consumers"}
    env.write_text(env.read_text() + "RETRY_AFTER_S=6\n")
    yield "a setting of the gateway", {"gateway"}
    with (code / "providers" / "signing.py").open("a") as file:
        file.write("# changed\n")
    yield "our own code", {"gateway", "consumers"}


def test_no_request_is_refused_while_what_changed_is_replaced(checkout: Checkout) -> None:
    checkout.run("up")
    secret = read_env_file(checkout.folder / ".env")["WEBHOOK_SECRET"]
    sender = Sender(int(checkout.environ["GATEWAY_PORT"]), secret)
    with sender.sending():
        for what, replaced in changes(checkout):
            before = checkout.processes()
            checkout.run("up")
            after = checkout.processes()
            assert {name for name in before if set(before[name]) != set(after[name])} == replaced, what
            for name in replaced:
                assert len(after[name]) == len(before[name]), what
                assert not set(after[name]) & set(before[name]), what
    assert set(sender.answers) == {"202"}
    assert len(sender.answers) > PER_SECOND
    sent = len(sender.answers)
    until_sync(lambda: applied(checkout) == (sent, sent), what="each event is applied, once")
    print(f"{len(sender.answers)} requests, the slowest took {sender.slowest_s:.2f} s")


def test_what_an_attempt_that_ended_midway_left_is_finished_or_undone_by_the_next(checkout: Checkout) -> None:
    env, service = checkout.folder / ".env", Path(checkout.environ["PYTHONPATH"]) / "gateway" / "service.py"
    checkout.run("up")
    first, right_env, right_code = checkout.processes(), env.read_text(), service.read_text()
    env.write_text(right_env + "BATCH_SIZE=400\n")
    service.write_text(right_code + "raise SystemExit(3)\n")
    assert "run on, with the settings from before" in checkout.run("up", code=1)
    failed = checkout.processes()
    assert failed["gateway"] == first["gateway"]
    assert failed["consumers"] != first["consumers"]
    env.write_text(right_env)
    service.write_text(right_code)
    checkout.run("up")
    undone = checkout.processes()
    assert undone["consumers"] != failed["consumers"]  # no worker has the BATCH_SIZE of the attempt any more
    (checkout.folder / "mine.py").write_text('import sys, time\n"check" in sys.argv or time.sleep(99)\n' + HANDLERS)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where a shell runs tests in the background
    attempt = checkout.start("up")
    until_sync(lambda: len(checkout.processes()["consumers"]) == 2, timeout_s=60, what="a worker is being replaced")
    attempt.send_signal(signal.SIGINT)
    said = attempt.communicate(timeout=60)[0]
    assert attempt.returncode == 130, said
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert checkout.processes() == undone
    (checkout.folder / "mine.py").write_text(HANDLERS)
    checkout.run("up")
    assert len(checkout.processes()["consumers"]) == 1


def test_a_mistake_leaves_what_runs_as_it_runs(checkout: Checkout) -> None:
    checkout.run("up")
    before = checkout.processes()
    files = {name: checkout.folder / name for name in (".env", "sources.toml", "mine.py")}
    mistakes = {
        ".env": ("GATEWAY_PROCESSES=many\n", "GATEWAY_PROCESSES: it is not a whole number"),
        "sources.toml": ('[broken]\nprovider = "unknown"\nsecrets = ["s"]\n', "[broken] provider"),
        "mine.py": ("1 / 0\n", "ZeroDivisionError"),
    }
    for name, (mistake, sentence) in mistakes.items():
        right = files[name].read_text()
        files[name].write_text(right + mistake)
        for command in ("up", "check"):
            said = checkout.run(command, code=2)
            assert sentence in said
            assert "Traceback" not in said
        files[name].write_text(right)
    assert checkout.processes() == before
    for variable, value in {"HANDLERS": "nowhere:handlers", "GATEWAY_TLS_CERT": "nowhere.pem"}.items():
        right_environ = dict(checkout.environ)
        checkout.environ |= {variable: value, "GATEWAY_TLS_KEY": "nowhere.pem" if "TLS" in variable else ""}
        assert "Nothing was started or stopped" in checkout.run("up", code=2)
        checkout.environ = right_environ
    assert "All settings, sources and handlers can be used" in checkout.run("check")
    assert checkout.processes() == before


def test_a_process_that_does_not_become_ready_leaves_the_one_before(checkout: Checkout) -> None:
    checkout.environ["UP_TIMEOUT_S"] = "15"
    checkout.run("up")
    before = checkout.processes()
    # Its settings can be used, and it fails when it starts.
    (Path(checkout.environ["PYTHONPATH"]) / "gateway" / "service.py").write_text("raise SystemExit('broken code')\n")
    said = checkout.run("up", code=1)
    assert "broken code" in said
    assert "processes from before run on" in said
    after = checkout.processes()
    assert after["gateway"] == before["gateway"]
    assert (after["valkey"], after["postgres"]) == (before["valkey"], before["postgres"])
