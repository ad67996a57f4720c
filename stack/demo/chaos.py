"""Disturbances of a running stack, all undone afterwards: a second gateway, more workers, killed workers."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stack import ready
from stack.base import Stack, StackError
from stack.ports import HOST, free_port
from stack.programs import launched, log_file
from stack.ready import Waiter

GATEWAY = "demo-gateway"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
"""How long the second gateway may take to answer its requests before it is killed."""

RESTART_TIMEOUT_S = 60
"""How long the restart of the last killed workers may take."""

PAUSE_S = 0.1

TAKEN_OVER = "webhook_consumer_entries_reclaimed_total"


@contextmanager
def second_gateway(environment: Mapping[str, str]) -> Iterator[str]:
    """Run another gateway on a free port of loopback for the length of a block. Yield its URL."""
    port = free_port()
    log = log_file(Path(environment["DATA_DIR"]), GATEWAY)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    settings = {"GATEWAY_HOST": HOST, "GATEWAY_PORT": str(port), "GATEWAY_PROCESSES": "1"}
    argv = launched(log, signal.SIGTERM, [sys.executable, "-m", "gateway"])
    gateway = subprocess.Popen(argv, env={**environment, **settings}, stdin=subprocess.DEVNULL)  # noqa: S603 -- ourselves
    try:
        url = f"{urlsplit(environment['GATEWAY_URL']).scheme}://{HOST}:{port}"

        async def answers() -> str:
            if gateway.poll() is not None:
                raise StackError(f"the second gateway ended while it started ({gateway.returncode}).{ready.tail(log)}")
            return await ready.gateway_answers(url)

        Waiter(time.monotonic() + START_TIMEOUT_S).until("the second gateway", answers, log, int)
        yield url
    finally:
        gateway.terminate()
        try:
            gateway.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            gateway.kill()
            gateway.wait()


@contextmanager
def workers_at_least(stack: Stack, workers_min: int) -> Iterator[int]:
    """Run at least `workers_min` workers for the length of a block, then as many as before. Yield their number."""
    before = stack.workers_wanted
    if before >= workers_min:
        yield before
        return
    stack.scale(workers_min)
    try:
        yield workers_min
    finally:
        stack.scale(before)


class WorkerKiller:
    """A killer of workers, which also counts the workers started to replace them."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self._stack = stack
        self._chance = chance
        self._before = stack.workers()
        self._known = set(self._before)
        self.killed: list[int] = []

    async def kill_one(self, after_s: float) -> None:
        """Kill a random worker after this delay."""
        await asyncio.sleep(after_s)
        await asyncio.to_thread(self._kill_one)

    def _kill_one(self) -> None:
        workers = self._running()
        if workers and self._stack.kill_worker(victim := self._chance.choice(workers)):
            self.killed.append(victim)

    def wait_until_restarted(self) -> int:
        """Wait until as many workers run as before, none of them killed. Return how many were started."""
        deadline = time.monotonic() + RESTART_TIMEOUT_S
        while len(set(self._running()) - set(self.killed)) < len(self._before):
            if time.monotonic() > deadline:
                raise StackError(f"not all killed workers run again after {RESTART_TIMEOUT_S} s")
            time.sleep(PAUSE_S)
        return len(self._known) - len(self._before)

    def _running(self) -> list[int]:
        workers = self._stack.workers()
        self._known.update(workers)
        return workers


def entries_taken_over(stack: Stack) -> int | None:
    """Return how many entries workers have taken over from dead ones so far; None if their metrics cannot be read."""
    url = stack.workers_metrics_url
    status, text = ready.ask(url, "/metrics") if url else (0, "")
    if status != 200:
        return None
    return sum(int(float(line.rpartition(" ")[2])) for line in text.splitlines() if line.startswith(TAKEN_OVER))
