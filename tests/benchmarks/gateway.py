"""The gateway against a handler that only answers, and against one that awaits an XADD per request."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from stack.ports import HOST, free_port
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import Harness, Options, cpu_s, harness
from tests.support.child import Child
from tests.support.wait import until

CONNECTIONS = (128, 32, 256, 512)
"""Each is held against the targets. The fewer senders there are, the more of the time all of them wait for the disk,
which the bare handler never asks.
"""

BARE_TARGET = 0.70
XADD_TARGET = 2.0

WARM_UP_REQUESTS = 2000
"""Sent to each side before it is measured; tells how many it answers in a second."""

BASELINES = {
    "bare": "bare handler",
    "server": "bare aiohttp.web.Server",
    "xadd": "one XADD each",
}


@dataclass(slots=True)
class Side:
    """One of the servers that are compared."""

    child: Child
    port: int
    count: int = WARM_UP_REQUESTS
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


async def run(options: Options) -> list[Figure]:
    """Every side in turn, and again; medians."""
    async with harness() as on:
        gateway = await on.gateway()
        sides = {"gateway": Side(gateway, gateway.port)} | {name: await _baseline(on, name) for name in BASELINES}
        figures = []
        for connections in CONNECTIONS:
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
    ours = sides["gateway"]
    targets = {"bare": BARE_TARGET, "xadd": XADD_TARGET}
    group = f"gateway, {connections} connections"
    rates = [
        Figure(group, "requests answered", median(ours.rates), "/s", median(sides[name].rates), what, targets.get(name))
        for name, what in BASELINES.items()
    ]
    costs = [
        Figure(group, "CPU per request", median(ours.cpu_us), "µs", median(sides[name].cpu_us), what)
        for name, what in BASELINES.items()
    ]
    return [*rates, *costs]


async def _baseline(on: Harness, name: str) -> Side:
    port = free_port()
    child = on.programs.start("tests.benchmarks.baseline", {}, (name, str(port), on.valkey.url))

    def accepts() -> bool:
        assert child.is_running, f"{name} ended while it started:\n{child.log}"
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0

    await until(accepts, what=f"{name} accepts connections")
    return Side(child, port)
