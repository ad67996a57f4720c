"""The gateway's metrics. With several processes each writes to a shared folder, and any of them answers for all.

Importing this imports prometheus_client, which reads PROMETHEUS_MULTIPROC_DIR at that moment: `__main__` sets it first.
"""

import asyncio
import time
from collections.abc import Callable

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

from runtime.latencies import Latencies, Latency
from runtime.version import version

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NO_SOURCE = "-"
"""The label of requests that reached no source: unknown paths, malformed HTTP. Never text that a stranger chose."""

BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000)
ROUND_TRIP_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
VERIFY_BUCKETS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, 1, 5)

FLUSH_S = 0.25
"""How long durations are added up in the process before they are written to the metrics."""


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
            "1 while Redis guarantees that an accepted event survives, else 0.",
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
        self._unverified = Gauge(
            f"{prefix}unverified_bytes",
            "Bytes kept for requests that are not answered; UNVERIFIED_BYTES_MAX limits them.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._internal_errors = Counter(
            f"{prefix}internal_errors", "Errors of this program itself; each has a traceback in the log.",
            registry=registry,
        )  # fmt: skip
        self._verify = Latencies(
            f"{prefix}verify_seconds", "How long the verification of a genuine request took.", ["source"],
            registry=registry, bounds_s=VERIFY_BUCKETS_S,
        )  # fmt: skip
        self._duration = Latencies(
            f"{prefix}request_duration_seconds",
            "From the end of a request to its answer, by source and status: 2xx, 4xx or 5xx.",
            ["source", "status_class"],
            registry=registry,
        )
        self._accepted = Gauge(
            f"{prefix}last_accepted_timestamp_seconds", "When an event was last answered 2xx.", ["source"],
            registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self._certificate = Gauge(
            f"{prefix}certificate_expiry_timestamp_seconds",
            "When a certificate expires: that which a source's provider used last; of source -, the gateway's own.",
            ["source"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        build = Gauge(f"{prefix}build_info", "Always 1.", ["version"], registry=registry, multiprocess_mode="max")
        build.labels(version()).set(1)
        if not multiprocess:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self._increments = _Increments(self._flush)
        self._sources: dict[str, SourceMetrics] = {}

    def of(self, source: str) -> "SourceMetrics":
        """Return the counters of one source, or of NO_SOURCE."""
        if source not in self._sources:
            self._sources[source] = SourceMetrics(
                source,
                self._increments,
                self._requests,
                self._verified,
                self._rejected,
                self._duplicates.labels(source),
                self._verify.labels(source),
                self._duration,
            )
        return self._sources[source]

    def internal_error(self) -> None:
        """Count a bug."""
        self._internal_errors.inc()

    def published(self, events: int, round_trip_s: float, backlog: int) -> None:
        """Count one exchange with Redis; the stream had `backlog` entries before it."""
        self._batch.observe(events)
        self._round_trip.observe(round_trip_s)
        self._backlog.set(backlog)

    def waiting(self, events: int) -> None:
        """Set how many deliveries wait for the next exchange."""
        self._waiting.set(events)

    def durable(self, *, yes: bool) -> None:
        """Set whether Redis guarantees durability now."""
        self._durable.set(int(yes))

    def backlog(self, entries: int) -> None:
        """Set the stream's length."""
        self._backlog.set(entries)

    def connections(self, count: int, unverified_bytes: int) -> None:
        """Set the number of this process's open connections, and the bytes kept for them."""
        self._connections.set(count)
        self._unverified.set(unverified_bytes)

    def certificate(self, source: str, expires_at_s: float) -> None:
        """Set when the certificate of a source's provider expires, or for NO_SOURCE the gateway's own."""
        self._certificate.labels(source).set(expires_at_s)

    def _flush(self) -> None:
        for name, source in self._sources.items():
            if source.flush():
                self._accepted.labels(name).set(time.time())

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self._flush()
        if not self._multiprocess:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


class _Increments:
    """Buffers increments of labelled counters and adds them once per turn of the event loop.

    Finding a counter by its labels and taking its lock for each request would cost a tenth of an answer. What may wait
    longer is written by `flush_later`, FLUSH_S after the first request that follows the last time.
    """

    def __init__(self, flush_later: Callable[[], None]) -> None:
        self._counts: dict[tuple[Counter, str, str | int], int] = {}
        self._flush_later = flush_later
        self._is_later_due = False

    def add(self, counter: Counter, source: str, label: str | int) -> None:
        """Count one more with these labels."""
        if not self._counts:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._flush)
            if not self._is_later_due:
                self._is_later_due = True
                loop.call_later(FLUSH_S, self._later)
        key = (counter, source, label)
        self._counts[key] = self._counts.get(key, 0) + 1

    def _flush(self) -> None:
        for (counter, source, label), count in self._counts.items():
            counter.labels(source, str(label)).inc(count)
        self._counts.clear()

    def _later(self) -> None:
        self._is_later_due = False
        self._flush_later()


class SourceMetrics:
    """The counters of one source."""

    def __init__(
        self, source: str, increments: _Increments, requests: Counter, verified: Counter, rejected: Counter,
        duplicates: Counter, verify: Latency, durations: Latencies,
    ) -> None:  # fmt: skip
        self._source = source
        self._increments = increments
        self._requests = requests
        self._verified = verified
        self._rejected = rejected
        self._duplicates = duplicates
        self._verify = verify
        self._durations = durations
        # Zero from the start: a rate or an increase does not see what a series begins with.
        requests.labels(source, "429")
        self._by_class: dict[int, Latency] = {5: durations.labels(source, "5xx")}

    def answered(self, status: int, duration_s: float | None = None) -> None:
        """Count an answer by its status, and how long it took where it answers an event."""
        self._increments.add(self._requests, self._source, status)
        if duration_s is None:
            return
        first_digit = status // 100
        latency = self._by_class.get(first_digit)
        if latency is None:
            latency = self._by_class[first_digit] = self._durations.labels(self._source, f"{first_digit}xx")
        latency.observe(duration_s)

    def verified_in(self, duration_s: float) -> None:
        """Count how long a verification took."""
        self._verify.observe(duration_s)

    def verified(self, secret_number: int) -> None:
        """Count a genuine event by the number of the secret that verified it."""
        self._increments.add(self._verified, self._source, secret_number)

    def rejected(self, reason: str) -> None:
        """Count a refused request by the reason."""
        self._increments.add(self._rejected, self._source, reason)

    def duplicate(self) -> None:
        """Count an event that was in the stream already."""
        self._duplicates.inc()

    def flush(self) -> int:
        """Write the durations since the last call; return how many requests with events were answered 2xx."""
        self._verify.flush()
        counts = {first_digit: latency.flush() for first_digit, latency in self._by_class.items()}
        return counts.get(2, 0)
