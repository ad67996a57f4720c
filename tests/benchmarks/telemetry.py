"""What the console and telemetry cost the gateway and a worker: the same load with everything off, and with each on.

The console runs with its sampler, a viewer polls its first page every 5 s, and both programs' metrics are scraped every
15 s; each measurement begins with one of each, so that a short one shows too much, never too little. Spans go to a real
receiver. The sides take turns, in one order and then in the other. Processor time of the program itself is what
counts: on a busy machine throughput says more about the others.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TypeVar

import aiohttp

from contract.event import Event
from runtime.tracing import TRACEPARENT, UNSAMPLED
from stack.ports import HOST, free_port
from tests.benchmarks.consumers import BATCH_SIZE, measure_worker
from tests.benchmarks.events import stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.gateway import accepting
from tests.benchmarks.harness import Harness, Options, cpu_s, harness
from tests.benchmarks.pages import signed_in, start_console
from tests.support.database import fresh_database
from tests.support.processes import Gateway

POLL_S = 5.0
SCRAPE_S = 15.0
RETRY_S = 0.1
"""After a worker's metrics could not be read, because it is starting or has ended."""

T = TypeVar("T")

LOST_TARGET = 1.03
"""Processor time per event, as a multiple of that with everything off."""

CONNECTIONS = 128
REQUESTS_PER_S = 4000
EVENTS_PER_S = 6000
"""About what one gateway answers and what one worker applies; each gets this number for each second to be measured."""

WARM_UP_REQUESTS = 2000


@dataclass(slots=True)
class Side:
    """One way to run both programs. `sampled`: the share of traces, None without spans."""

    name: str
    is_watched: bool = True
    logs_events: bool = False
    sampled: float | None = None
    target: float | None = None
    gateway_cpu_us: list[float] = field(default_factory=list)
    gateway_per_s: list[float] = field(default_factory=list)
    worker_cpu_us: list[float] = field(default_factory=list)
    worker_per_s: list[float] = field(default_factory=list)

    def env(self, receiver: str) -> Mapping[str, str]:
        """The settings of the programs."""
        env = {"EVENT_LOG": "true"} if self.logs_events else {}
        if self.sampled is None:
            return env
        return env | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": str(self.sampled),
        }


def sides() -> list[Side]:
    """Return all sides; the first one is what the others are compared with."""
    return [
        Side("all off", is_watched=False),
        Side("console, metrics", target=LOST_TARGET),
        Side("console, metrics, 0.1 % of spans", sampled=0.001, target=LOST_TARGET),
        Side("console, metrics, 1 % of spans", sampled=0.01),
        Side("console, metrics, all spans", sampled=1.0),
        Side("console, metrics, EVENT_LOG", logs_events=True),
    ]


async def run(options: Options) -> list[Figure]:
    """Measure the gateway on each side in turn, then a worker."""
    measured = sides()
    async with harness() as on:
        port = free_port()
        child = on.programs.start("tests.benchmarks.receiver", {}, (str(port),))
        await accepting(child, port)
        receiver = f"http://{HOST}:{port}"
        await _gateways(on, measured, receiver, options)
        await _workers(on, measured, receiver, options)
        async with aiohttp.ClientSession() as session, session.get(f"{receiver}/count") as answer:
            spans = (await answer.json())["spans"]
        assert spans, "no span was received"
    return [*_figures(measured, "gateway"), *_figures(measured, "worker"), Figure("spans", "received", spans, "")]


async def _gateways(on: Harness, measured: Sequence[Side], receiver: str, options: Options) -> None:
    count = int(REQUESTS_PER_S * options.seconds)
    async with fresh_database(on.postgres) as url:
        gateways = [await on.gateway(side.env(receiver)) for side in measured]
        for gateway in gateways:
            await on.load.send(gateway.port, connections=CONNECTIONS, count=WARM_UP_REQUESTS)
        for number in range(options.rounds):
            for side, gateway in _in_turn(list(zip(measured, gateways, strict=True)), number):
                async with _watched(on, url, gateway, gateway.operators_url, is_on=side.is_watched):
                    before_s = cpu_s(gateway.pid)
                    _, outcome = await on.load.send(gateway.port, connections=CONNECTIONS, count=count)
                    side.gateway_cpu_us.append((cpu_s(gateway.pid) - before_s) / count * 1e6)
                    side.gateway_per_s.append(count / outcome.elapsed_s)
                await on.redis.flushdb()
        for gateway in gateways[1:]:
            gateway.stop()


async def _workers(on: Harness, measured: Sequence[Side], receiver: str, options: Options) -> None:
    count = BATCH_SIZE * max(4, round(options.seconds * EVENTS_PER_S / BATCH_SIZE))
    gateway = await on.gateway()
    for number in range(options.rounds):
        for side in _in_turn(measured, number):
            events = _traced(list(stream_events(0, count)), side.sampled)
            metrics_port = free_port()
            env = {**side.env(receiver), "CONSUMERS_METRICS_PORT": str(metrics_port)}
            async with fresh_database(on.postgres) as url:
                metrics = f"http://{HOST}:{metrics_port}"
                async with _watched(on, url, gateway, metrics, is_on=side.is_watched):
                    rate, cpu_us = await measure_worker(on, url, events, env)
            side.worker_cpu_us.append(cpu_us)
            side.worker_per_s.append(rate)
    gateway.stop()


def _traced(events: list[Event], sampled: float | None) -> list[Event]:
    """Return the events as the gateway of this side publishes them: some with the context of its span."""
    if sampled is None:
        return events
    return [
        _with_context(each) if number % round(1 / sampled) == 0 else replace(each, traceparent=UNSAMPLED)
        for number, each in enumerate(events)
    ]


def _with_context(event: Event) -> Event:
    context = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    return replace(event, traceparent=context, headers={**event.headers, TRACEPARENT: context})


def _in_turn(all_: Sequence[T], number: int) -> list[T]:
    """Return them in one order, and the next time in the other: A B, B A."""
    return list(all_) if number % 2 == 0 else list(reversed(all_))


@asynccontextmanager
async def _watched(on: Harness, url: str, gateway: Gateway, metrics: str, *, is_on: bool) -> AsyncIterator[None]:
    """Run the console with a viewer, and scrape, while the block lasts."""
    if not is_on:
        yield
        return
    console, address = await start_console(on, url, gateway.operators_url)
    ended = asyncio.Event()
    async with signed_in(address) as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(_get_every(session, f"{address}/", POLL_S, ended))
        tasks.create_task(_get_every(session, f"{metrics}/metrics", SCRAPE_S, ended))
        yield
        ended.set()
    console.stop()


async def _get_every(session: aiohttp.ClientSession, url: str, seconds: float, ended: asyncio.Event) -> None:
    while not ended.is_set():
        pause_s = seconds
        try:
            async with session.get(url) as answer:
                await answer.read()
        except aiohttp.ClientError:
            pause_s = RETRY_S
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), pause_s)


def _figures(measured: Sequence[Side], program: str) -> list[Figure]:
    off, *others = measured
    figures = []
    for what, unit, attribute in (("CPU per event", "µs", "cpu_us"), ("events", "/s", "per_s")):
        for side in others:
            ours, against = (getattr(each, f"{program}_{attribute}") for each in (side, off))
            ratio = median(one / other for one, other in zip(ours, against, strict=True))
            target = side.target if unit == "µs" else None
            figures.append(
                Figure(f"{program}, {what}", side.name, median(against) * ratio, unit, median(against), off.name,
                       target, at_most=True)
            )  # fmt: skip
    return figures
