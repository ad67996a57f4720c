"""`python -m tests.benchmarks.client`: the load, in a process of its own, so that no side of a comparison carries it.

It reads one JSON order per line and answers each with one JSON line. Requests are signed and written out before the
first one is sent; a connection sends the next as soon as it has its answer, or when it is due (open loop).
"""

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

from stack.ports import HOST
from tests.benchmarks.events import signed_requests
from tests.support.events import Signed

ANSWER_TIMEOUT_S = 120.0
"""How long all of a run's requests may take. A run that hangs must not hang the benchmark."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Order:
    """Requests numbered from `first`, over a number of connections; `rate` makes it an open loop. With `wait_s`
    the answers wait for the commit, and the outcome says when each of them came.
    """

    port: int
    connections: int
    first: int
    count: int
    rate: float | None = None
    wait_s: int | None = None


@dataclass(slots=True)
class Outcome:
    """What came of an order. `began_s` is Unix time; `lateness_s` how far behind its schedule the load itself was;
    `answered_s` when each answer was there, in the order of the requests, where the order said `wait_s`.
    """

    began_s: float = 0.0
    elapsed_s: float = 0.0
    lateness_s: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    answered_s: list[float] = field(default_factory=list)


class Run:
    """One order under way."""

    def __init__(self, requests: list[bytes], rate: float | None, *, times_answers: bool = False) -> None:
        self._requests = deque(enumerate(requests))
        self._rate = rate
        self._open = len(requests)
        self._idle: deque[Connection] = deque()
        self._due: deque[tuple[int, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._began_s = 0.0
        self.outcome = Outcome(answered_s=[0.0] * len(requests) if times_answers else [])

    async def drive(self, connections: list["Connection"]) -> Outcome:
        """Sends everything, and returns when the last answer is there."""
        self._began_s, self.outcome.began_s, began_s = self._loop.time(), time.time(), time.perf_counter()
        if self._rate is None:
            for connection in connections:
                self._next(connection)
        else:
            self._idle.extend(connections)
            self._send_due(0, self._rate)
        await asyncio.wait_for(self._finished, ANSWER_TIMEOUT_S)
        self.outcome.elapsed_s = time.perf_counter() - began_s
        return self.outcome

    def answered(self, connection: "Connection", status: str) -> None:
        """One request is done."""
        if self.outcome.answered_s:
            self.outcome.answered_s[connection.number] = time.time()
        self.outcome.statuses[status] = self.outcome.statuses.get(status, 0) + 1
        self._open -= 1
        if self._open == 0:
            self._finished.set_result(None)
        elif self._due:
            connection.send(*self._due.popleft())
        elif self._rate is None:
            self._next(connection)
        else:
            self._idle.append(connection)

    def broken(self, error: Exception | None) -> None:
        """A connection ended although nobody closed it: the run is void."""
        if not self._finished.done():
            self._finished.set_exception(error or ConnectionError("the server closed a connection"))

    def _next(self, connection: "Connection") -> None:
        if self._requests:
            connection.send(*self._requests.popleft())

    def _send_due(self, number: int, rate: float) -> None:
        """Sends a request at its time, whether those before it are answered or not; it waits where no one is idle."""
        self.outcome.lateness_s = max(self.outcome.lateness_s, time.time() - self.outcome.began_s - number / rate)
        self._due.append(self._requests.popleft())
        if self._idle:
            self._idle.popleft().send(*self._due.popleft())
        if self._requests:
            self._loop.call_at(self._began_s + (number + 1) / rate, self._send_due, number + 1, rate)


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.number = 0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, number: int, request: bytes) -> None:
        self.number = number
        self._transport.write(request)

    def close(self) -> None:
        self.run = None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0 or self.run is None:
            return
        length = _content_length(self._received[:head_end])
        if len(self._received) >= head_end + len(_HEAD_END) + length:
            status = self._received[9:12].decode()
            self._received = b""
            self.run.answered(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.run:
            self.run.broken(exc)


async def carry_out(order: Order) -> Outcome:
    """Connects, sends, and disconnects."""
    loop = asyncio.get_running_loop()
    requests = [_written_out(signed, order.wait_s) for signed in signed_requests(order.first, order.count)]
    made = [await loop.create_connection(Connection, HOST, order.port) for _ in range(order.connections)]
    connections = [connection for _, connection in made]
    run = Run(requests, order.rate, times_answers=order.wait_s is not None)
    for connection in connections:
        connection.run = run
    try:
        return await run.drive(connections)
    finally:
        for connection in connections:
            connection.close()


def _written_out(signed: Signed, wait_s: int | None) -> bytes:
    headers = {"Host": HOST, "Content-Length": str(len(signed.body)), "User-Agent": "Stripe/1.0", "Accept": "*/*"}
    if wait_s is not None:
        headers["Prefer"] = f"wait={wait_s}"
    lines = [f"{name}: {value}\r\n" for name, value in (headers | dict(signed.headers)).items()]
    return f"POST {signed.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + signed.body


def _content_length(head: bytes) -> int:
    """What the head says, 0 where it says nothing."""
    _, found, rest = head.lower().partition(_LENGTH)
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


def main() -> None:
    """One order after the other, until standard input ends."""
    for line in sys.stdin:
        outcome = uvloop.run(carry_out(Order(**json.loads(line))))
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
