"""What a request that nobody signed costs the event loop, for every provider, against an HMAC of the same bytes.

Counted is the processor time of the loop's own thread until the request is refused: other sources wait for that. What
the loop takes to fall asleep and wake up is not, since it has nothing to do then. Work in the source's thread is shown,
and has no target. Each figure is the worst of all bodies, headers and addresses of `tests/support/hostile.py`.
`--seconds` means nothing here.
"""

import asyncio
import contextlib
import hashlib
import hmac
import selectors
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

from providers.base import Request, SignatureError, UnavailableError
from providers.off_loop import OffLoop
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Options
from tests.benchmarks.verify import DIGESTS
from tests.support.cases.base import Case
from tests.support.hostile import MIB, Hostile, hostile_requests
from tests.support.provider_cases import CASES

SIZES = (1024, 4096, 16 * 1024, MIB)
"""Of the bodies. 4096 is the longest that is taken apart on the loop."""

HMAC_TIMES = 2
BEYOND_US = 50.0
"""What a refused request may cost the loop: twice an HMAC of its bytes, and this."""

HOPS = 2
"""Signatures that a source checks in its thread, one after the other, at most. Asking the thread costs the loop too."""

HOPS_MEASURED = 40
"""How often a hop is measured. The median counts."""

CALLS_IF_SHORT, LONG_BYTES = 8, 64 * 1024
"""Of a short request there are that many times more calls, because the first ones cost twice what later ones do."""

THREAD_US_MIN = 10.0
"""Less processor time outside of the loop's thread is what the clocks themselves take."""

Authenticate = Callable[[Request], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one hostile request, in microseconds."""

    what: str
    loop_us: float
    whole_us: float
    hmac_us: float
    allowed_us: float


class _Idle(selectors.DefaultSelector):
    """What the loop waits in. It counts the processor time of the loop's thread there."""

    def __init__(self) -> None:
        super().__init__()
        self.ns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, and count."""
        began_ns = time.thread_time_ns()
        try:
            return super().select(timeout)
        finally:
            self.ns += time.thread_time_ns() - began_ns


async def run(options: Options) -> list[Figure]:
    """Every provider in its turn: what costs the loop most of what is allowed, and what takes longest."""
    return await asyncio.to_thread(_run_in_own_loop, options.rounds)


def _run_in_own_loop(rounds: int) -> list[Figure]:
    idle = _Idle()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(idle)) as runner:
        figures = [figure for case in CASES.values() for figure in runner.run(_figures(case, idle, rounds))]
    return sorted(figures, key=lambda figure: figure.group)


async def _figures(case: Case, idle: _Idle, rounds: int) -> list[Figure]:
    authenticate, hop_us = case.source().authenticate, await _hop_us(idle)
    costs = [await cost(case, authenticate, each, idle, hop_us, rounds) for each in hostile_requests(case, SIZES)]
    worst = max(costs, key=lambda each: each.loop_us / each.allowed_us)
    longest = max(costs, key=lambda each: each.whole_us)
    on_loop, in_all = f"{case.provider}: {worst.what}", f"{case.provider}: {longest.what}"
    return [
        Figure("loop", on_loop, worst.loop_us, "us", worst.allowed_us, "allowed", 1.0, at_most=True),
        Figure("loop, in HMACs", on_loop, worst.loop_us, "us", worst.hmac_us, "HMAC"),
        Figure("until it is refused", in_all, longest.whole_us, "us", longest.hmac_us, "HMAC"),
    ]


async def cost(
    case: Case, authenticate: Authenticate, hostile: Hostile, idle: _Idle, hop_us: float, rounds: int
) -> Cost:
    """Measure one request: the least of some calls, because neighbours only add to it."""
    request, digest = hostile.request, DIGESTS.get(case.provider, "sha256")
    loop, thread, whole, bare = [], [], [], []
    for _ in range(rounds * (1 if len(request.body) > LONG_BYTES else CALLS_IF_SHORT) + 1):
        loop_us, thread_us, whole_us = await _refused_us(authenticate, request, idle)
        loop.append(loop_us)
        thread.append(thread_us)
        whole.append(whole_us)
        bare.append(_hmac_us(request.body, digest))
    allowed_us = HMAC_TIMES * min(bare) + BEYOND_US + (HOPS * hop_us if median(thread) > THREAD_US_MIN else 0)
    return Cost(hostile.what, min(loop), min(whole), min(bare), allowed_us)


async def _refused_us(authenticate: Authenticate, request: Request, idle: _Idle) -> tuple[float, float, float]:
    """Return what the loop's thread, the other threads and the clock took."""
    started_ns, process_ns, thread_ns = time.perf_counter_ns(), time.process_time_ns(), time.thread_time_ns()
    idle.ns = 0
    with contextlib.suppress(SignatureError, UnavailableError):
        await authenticate(request)
    thread_us, whole_us = (time.thread_time_ns() - thread_ns) / 1000, (time.perf_counter_ns() - started_ns) / 1000
    return thread_us - idle.ns / 1000, (time.process_time_ns() - process_ns) / 1000 - thread_us, whole_us


async def _hop_us(idle: _Idle) -> float:
    """Return what the loop's thread takes to have a digest computed by the thread of a source, and to wait for it."""
    off_loop, costs, text = OffLoop("hop"), [], bytes(MIB)
    for _ in range(HOPS_MEASURED):
        idle.ns, started_ns = 0, time.thread_time_ns()
        await off_loop.run(hashlib.sha256, text)
        costs.append((time.thread_time_ns() - started_ns - idle.ns) / 1000)
    return median(costs)


def _hmac_us(body: bytes, digest: str) -> float:
    key = hashlib.sha256(body[:1]).digest()
    started_ns = time.perf_counter_ns()
    hmac.digest(key, body, digest)
    return (time.perf_counter_ns() - started_ns) / 1000
