"""What `make demo` does to a running stack, and undoes: a second gateway, a larger pool, workers that are killed."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stack import ready
from stack.base import Stack, StackError
from stack.ports import HOST, free_port
from stack.programs import launched, log_file
from stack.ready import Waiter

GATEWAY = "demo-gateway"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
"""How long the second gateway may take to answer, and to finish what it has in hand."""

POOL_TIMEOUT_S = 60
"""How long the last workers that were killed may take to be there again."""

PAUSE_S = 0.1

TAKEN_OVER = "webhook_consumer_entries_reclaimed_total"


@contextmanager
def second_gateway(environment: Mapping[str, str]) -> Iterator[str]:
    """Another gateway on a free port of loopback for the length of a block; where it is."""
    port = free_port()
    log = log_file(Path(environment["DATA_DIR"]), GATEWAY)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    settings = {"GATEWAY_HOST": HOST, "GATEWAY_PORT": str(port), "GATEWAY_PROCESSES": "1"}
    argv = launched(log, signal.SIGTERM, [sys.executable, "-m", "gateway"])
    gateway = subprocess.Popen(argv, env={**environment, **settings}, stdin=subprocess.DEVNULL)  # noqa: S603 -- ourselves
    try:
        url = f"http://{HOST}:{port}"

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
def pool_of(stack: Stack, workers_min: int) -> Iterator[int]:
    """At least so many workers for the length of a block, and then as many as before; how many there are."""
    before = stack.workers_wanted
    if before >= workers_min:
        yield before
        return
    stack.scale(workers_min)
    try:
        yield workers_min
    finally:
        stack.scale(before)


class Killer:
    """Kills one worker after the other, and counts those that were started in their place."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self._stack = stack
        self._chance = chance
        self._pool = stack.workers()
        self._met = set(self._pool)
        self.killed: list[int] = []

    async def kill_one(self, after_s: float) -> None:
        """One worker, whichever, at this moment from now."""
        await asyncio.sleep(after_s)
        await asyncio.to_thread(self._kill_one)

    def _kill_one(self) -> None:
        workers = self._look()
        if workers and self._stack.kill_worker(victim := self._chance.choice(workers)):
            self.killed.append(victim)

    def wait_for_the_pool(self) -> int:
        """Returns once as many run as before, and none of the killed: how many were started in their place."""
        deadline = time.monotonic() + POOL_TIMEOUT_S
        while len(set(self._look()) - set(self.killed)) < len(self._pool):
            if time.monotonic() > deadline:
                raise StackError(f"not all workers that were killed run again after {POOL_TIMEOUT_S} s")
            time.sleep(PAUSE_S)
        return len(self._met) - len(self._pool)

    def _look(self) -> list[int]:
        workers = self._stack.workers()
        self._met.update(workers)
        return workers


def entries_taken_over(stack: Stack) -> int | None:
    """How many entries living workers ever took over from dead ones; None where nobody can say."""
    url = stack.workers_metrics_url
    status, text = ready.ask(url, "/metrics") if url else (0, "")
    if status != 200:
        return None
    return sum(int(float(line.rpartition(" ")[2])) for line in text.splitlines() if line.startswith(TAKEN_OVER))
