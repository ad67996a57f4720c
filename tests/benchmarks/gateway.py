"""The gateway against a bare handler, a handler that awaits one XADD per request, and the gateway of another commit."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from stack.ports import HOST, free_port
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import PREFIX, Harness, Options, cpu_s, harness
from tests.support.child import Child
from tests.support.processes import READY_TIMEOUT_S, Programs
from tests.support.wait import until

CONNECTIONS = (128, 32, 256, 512)
"""The fewer senders there are, the larger the share of the time in which all of them wait for the disk, which the bare
handler never does.
"""

BARE_TARGETS = {256: 0.70, 32: 0.50}
XADD_TARGET = 2.0
OLD_CPU_TARGET = 1.10
OLD_CPU_CONNECTIONS = (128, 256)

WARM_UP_REQUESTS = 2000
"""Sent to each side before it is measured; shows how many it answers in a second."""

OURS, BARE, XADD, OLD = "gateway", "bare", "xadd", "old"
NAMES = {BARE: "bare web.Application handler", XADD: "one XADD each", OLD: "gateway of --beside"}


@dataclass(slots=True)
class Side:
    """One of the servers that are compared."""

    child: Child
    port: int
    count: int = WARM_UP_REQUESTS
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


async def run(options: Options) -> list[Figure]:
    """Measure every side in turn, several times; return the medians."""
    async with harness() as on:
        gateway = await on.gateway()
        sides = {OURS: Side(gateway, gateway.port)}
        for name in (BARE, XADD):
            sides[name] = await start_baseline(on.programs, on.valkey.url, name)
        if options.beside is None:
            return await _compare_at_each(on, sides, options)
        with Programs(on.programs.folder / "beside", root=options.beside) as programs:
            old = await programs.gateway(on.valkey.url, PREFIX)
            return await _compare_at_each(on, sides | {OLD: Side(old, old.port)}, options)


async def start_baseline(
    programs: Programs, redis_url: str, name: str, *, timeout_s: float = READY_TIMEOUT_S
) -> Side:  # fmt: skip
    """Start a handler of tests.benchmarks.baseline and wait until it accepts connections."""
    port = free_port()
    child = programs.start("tests.benchmarks.baseline", {}, (name, str(port), redis_url))
    await accepting(child, port, timeout_s=timeout_s)
    return Side(child, port)


async def accepting(child: Child, port: int, *, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Wait until a program that was just started accepts connections."""

    def accepts() -> bool:
        assert child.is_running, f"{child.name} ended while it started:\n{child.log}"
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0

    await until(accepts, timeout_s=timeout_s, what=f"{child.name} accepts connections")


async def _compare_at_each(on: Harness, sides: Mapping[str, Side], options: Options) -> list[Figure]:
    figures = []
    for connections in options.connections or CONNECTIONS:
        await _compare(on, sides, connections, options)
        figures += _figures(sides, connections)
    return figures


async def _compare(on: Harness, sides: Mapping[str, Side], connections: int, options: Options) -> None:
    for side in sides.values():
        side.rates.clear()
        side.cpu_us.clear()
        side.count = WARM_UP_REQUESTS
        await _measure(on, side, connections)
        side.count = max(1, int(side.rates.pop() * options.seconds))
        side.cpu_us.clear()
    for _ in range(options.rounds):
        for side in sides.values():
            await _measure(on, side, connections)


async def _measure(on: Harness, side: Side, connections: int) -> None:
    before_s = cpu_s(side.child.pid)
    _, outcome = await on.load.send(side.port, connections=connections, count=side.count)
    side.rates.append(side.count / outcome.elapsed_s)
    side.cpu_us.append((cpu_s(side.child.pid) - before_s) / side.count * 1e6)
    await on.redis.flushdb()


def _figures(sides: Mapping[str, Side], connections: int) -> list[Figure]:
    ours = sides[OURS]
    others = {name: side for name, side in sides.items() if name != OURS}
    rate_targets = {BARE: BARE_TARGETS.get(connections), XADD: XADD_TARGET}
    cpu_targets = {OLD: OLD_CPU_TARGET} if connections in OLD_CPU_CONNECTIONS else {}
    group = f"gateway, {connections} connections"
    figures = []
    for name, side in others.items():
        target = rate_targets.get(name)
        what = "requests answered"
        figures.append(Figure(group, what, median(ours.rates), "/s", median(side.rates), NAMES[name], target))
    for name, side in others.items():
        target = cpu_targets.get(name)
        what = "CPU per request"
        costs = median(ours.cpu_us), median(side.cpu_us)
        figures.append(Figure(group, what, costs[0], "µs", costs[1], NAMES[name], target, at_most=True))
    return figures
