"""What the gateway counts. With several processes each writes to a shared folder, and any of them answers for all.

Importing this imports prometheus_client, which looks for PROMETHEUS_MULTIPROC_DIR then, once: `__main__` sets it first.
"""

import asyncio
from dataclasses import dataclass
from importlib import metadata

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_SOURCE = "-"
"""The label of what reached no source: unknown paths and malformed HTTP. Never text that a stranger chose."""

BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000)
ROUND_TRIP_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """Every metric of the gateway."""

    def __init__(self, *, multiprocess: bool) -> None:
        self._multiprocess = multiprocess
        self._registry = registry = CollectorRegistry()
        prefix = "webhook_gateway_"
        self._requests = Counter(
            f"{prefix}requests", "Answers, by source and status.", ["source", "status"], registry=registry
        )
        self._verified = Counter(
            f"{prefix}verified",
            "Genuine requests, by source and the number of the secret in its list that verified them.",
            ["source", "secret"],
            registry=registry,
        )
        self._rejected = Counter(
            f"{prefix}rejected", "Refused requests, by source and reason.", ["source", "reason"], registry=registry
        )
        self._duplicates = Counter(
            f"{prefix}duplicates", "Events that were in the stream already.", ["source"], registry=registry
        )
        self._batch = Histogram(
            f"{prefix}publish_batch_events", "Events in one exchange.", registry=registry, buckets=BATCH_BUCKETS
        )
        self._round_trip = Histogram(
            f"{prefix}publish_round_trip_seconds",
            "How long one exchange with Redis took, durably.",
            registry=registry,
            buckets=ROUND_TRIP_BUCKETS_S,
        )
        self._waiting = Gauge(
            f"{prefix}publish_waiting",
            "Deliveries waiting for the next exchange.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._durable = Gauge(
            f"{prefix}durable",
            "1 while Redis can promise that an accepted event survives, else 0.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._backlog = Gauge(
            f"{prefix}backlog_events",
            "Entries in the stream, when last asked.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._connections = Gauge(
            f"{prefix}connections", "Open connections.", registry=registry, multiprocess_mode="livesum"
        )
        self._internal_errors = Counter(
            f"{prefix}internal_errors", "Errors of this program itself; each has a traceback in the log.",
            registry=registry,
        )  # fmt: skip
        build = Gauge(f"{prefix}build_info", "Always 1.", ["version"], registry=registry, multiprocess_mode="max")
        build.labels(version()).set(1)
        if not multiprocess:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self._sources: dict[str, SourceMetrics] = {}

    def of(self, source: str) -> "SourceMetrics":
        """What is counted of one source, or of NO_SOURCE."""
        if source not in self._sources:
            self._sources[source] = SourceMetrics(
                _Labelled(self._requests, source),
                _Labelled(self._verified, source),
                _Labelled(self._rejected, source),
                self._duplicates.labels(source),
            )
        return self._sources[source]

    def internal_error(self) -> None:
        """A bug, or something nobody thought of."""
        self._internal_errors.inc()

    def flushed(self, events: int, round_trip_s: float, backlog: int) -> None:
        """One exchange with Redis."""
        self._batch.observe(events)
        self._round_trip.observe(round_trip_s)
        self._backlog.set(backlog)

    def waiting(self, events: int) -> None:
        """Deliveries that the exchange just begun did not take along."""
        self._waiting.set(events)

    def durable(self, *, yes: bool) -> None:
        """Whether Redis can promise durability now."""
        self._durable.set(int(yes))

    def backlog(self, entries: int) -> None:
        """The stream's length."""
        self._backlog.set(entries)

    def connections(self, count: int) -> None:
        """Open connections of this process."""
        self._connections.set(count)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        if not self._multiprocess:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


class _Labelled:
    """A counter's children by their last label. What is counted in one turn of the event loop is added at its end, at
    once: finding a child by all its labels and taking its lock costs as much as a tenth of an answer.
    """

    def __init__(self, counter: Counter, source: str) -> None:
        self._counter = counter
        self._source = source
        self._new: dict[str | int, int] = {}

    def inc(self, label: str | int) -> None:
        """One more with this label."""
        if not self._new:
            asyncio.get_running_loop().call_soon(self._add)
        self._new[label] = self._new.get(label, 0) + 1

    def _add(self) -> None:
        for label, count in self._new.items():
            self._counter.labels(self._source, str(label)).inc(count)
        self._new.clear()


@dataclass(frozen=True, slots=True)
class SourceMetrics:
    """Counters of one source: answers by status, genuine requests by secret, refused ones by reason, duplicates."""

    answered: _Labelled
    verified: _Labelled
    rejected: _Labelled
    duplicates: Counter


def version() -> str:
    """The installed version of this package, `source` where it runs from a checkout."""
    try:
        return metadata.version("payment-webhooks")
    except metadata.PackageNotFoundError:
        return "source"
