"""The client process, seen from the benchmark that orders load from it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from tests.benchmarks.client import ANSWER_TIMEOUT_S, Order, Outcome
from tests.support.child import dying_with_parent

ORDER_TIMEOUT_S = 2 * ANSWER_TIMEOUT_S
"""Signing and sending together."""


class Load:
    """Orders load, with event numbers that never repeat within a benchmark."""

    def __init__(self, process: asyncio.subprocess.Process, first: int = 0) -> None:
        assert process.stdin
        assert process.stdout
        self._input, self._output = process.stdin, process.stdout
        self._next = first

    async def send(
        self, port: int, *, connections: int, count: int, rate: float | None = None, wait_s: int | None = None
    ) -> tuple[Order, Outcome]:
        """Sends `count` new events and waits for all answers, each of which must be a 202; with `wait_s` a 201."""
        order = Order(port, connections, self._next, count, rate, wait_s)
        self._next += count
        self._input.write(json.dumps(asdict(order)).encode() + b"\n")
        line = await asyncio.wait_for(self._output.readline(), ORDER_TIMEOUT_S)
        assert line, "the client has ended; what it says is above"
        outcome = Outcome(**json.loads(line))
        _all_answered(outcome.statuses, "202" if wait_s is None else "201", count)
        return order, outcome


def _all_answered(statuses: Mapping[str, int], status: str, count: int) -> None:
    assert statuses == {status: count}, f"not every one of {count} requests was answered {status}: {dict(statuses)}"


@asynccontextmanager
async def load(first: int = 0) -> AsyncIterator[Load]:
    """A client process, ended with the block. `first`: the number of its first event."""
    argv = dying_with_parent([sys.executable, "-m", "tests.benchmarks.client"])
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    try:
        yield Load(process, first)
    finally:
        assert process.stdin
        process.stdin.close()  # It ends when there are no more orders.
        await asyncio.wait_for(process.wait(), ORDER_TIMEOUT_S)
