"""What a worker counts, for Prometheus. Each method is one line in the worker."""

import time
from contextlib import nullcontext
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import ValueClass

from consumers.metrics_files import WorkerFiles
from consumers.stream_stats import StreamStats

LABEL_VALUES_MAX = 200
"""Different values one label may take in a worker; what comes later is counted as `other`."""

OTHER = "other"

_BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _Labels:
    """Keeps a label's values to a number, whatever comes in."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, value: str) -> str:
        if value not in self._known:
            if len(self._known) >= LABEL_VALUES_MAX:
                return OTHER
            self._known.add(value)
        return value


class Metrics:
    """All the numbers of one worker; together with those of the host's other workers where PROMETHEUS_MULTIPROC_DIR is
    set: the library reads it when it is first imported. The folder must exist.
    """

    def __init__(self) -> None:
        self._folder = _shared_folder()
        self._files = WorkerFiles(self._folder) if self._folder else None
        self._registry = registry = CollectorRegistry()
        self._sources, self._kinds = _Labels(), _Labels()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"webhook_consumer_{name}", text, labels, registry=registry)

        def shared(name: str, text: str) -> Gauge:
            return Gauge(f"webhook_consumer_{name}", text, registry=registry, multiprocess_mode="livemostrecent")

        with self._files.joining() if self._files else nullcontext():
            self._applied = counter("events_applied", "Events committed for the first time", "source")
            self._duplicates = counter("events_duplicate", "Entries whose event was committed before", "source")
            self._dead = counter("events_dead", "Entries written to the dead letters", "source")
            self._retried = counter("events_retried", "Attempts that failed and will be repeated", "source", "kind")
            self._conflicts = counter(
                "conflicts", "Contradictions about money: that payment's stops until somebody decides", "source"
            )
            self._held_back = counter("facts_held_back", "Facts that were told and may not move money", "source")
            self._busy = counter("locks_busy", "Entries put aside because another worker has their resource")
            self._reclaimed = counter("entries_reclaimed", "Entries taken over from a worker that left them")
            self._gone = counter("entries_gone", "INCIDENT: entries that vanished from the stream before their commit")
            self._infrastructure = counter("infrastructure_failures", "Failures of Redis or Postgres, by kind", "kind")
            self._group_recreated = counter("group_recreated", "INCIDENT: the consumer group was gone and made again")
            self._batch_size = Histogram(
                "webhook_consumer_batch_size", "Entries of one batch", buckets=_BATCH_SIZES, registry=registry
            )
            self._batch_duration = Histogram(
                "webhook_consumer_batch_duration_seconds",
                "A batch, locks to ack",
                buckets=_DURATIONS_S,
                registry=registry,
            )
            self._backlog = shared("backlog_entries", "Entries in the stream, committed ones are not")
            self._lag = shared("lag_entries", "Entries that no worker has read")
            self._pending = shared("pending_entries", "Entries read and not committed")
            self._pending_idle = shared("oldest_pending_idle_seconds", "Since the oldest pending entry was touched")
            self._oldest_age = shared("oldest_entry_age_seconds", "Since the oldest entry in the stream was accepted")
            self._workers = Gauge(
                "webhook_consumer_workers", "Workers alive", registry=registry, multiprocess_mode="livesum"
            )
            self._last_progress = Gauge(
                "webhook_consumer_last_progress_timestamp_seconds", "When the slowest worker last got on",
                registry=registry, multiprocess_mode="livemin",
            )  # fmt: skip
            self._workers.set(1)
            self.progress()

    def batch(self, size: int, duration_s: float) -> None:
        """A batch went through, from its locks to its acknowledgement."""
        self._batch_size.observe(size)
        self._batch_duration.observe(duration_s)

    def applied(self, source: str, count: int = 1) -> None:
        """Events committed for the first time."""
        self._applied.labels(self._sources.bounded(source)).inc(count)

    def duplicates(self, source: str, count: int = 1) -> None:
        """Entries whose event was committed before."""
        self._duplicates.labels(self._sources.bounded(source)).inc(count)

    def dead(self, source: str) -> None:
        """An entry was written to the dead letters."""
        self._dead.labels(self._sources.bounded(source)).inc()

    def retried(self, source: str, kind: str) -> None:
        """An attempt failed and will be repeated."""
        self._retried.labels(self._sources.bounded(source), self._kinds.bounded(kind)).inc()

    def conflicts(self, source: str, count: int = 1) -> None:
        """Events contradicted each other about money."""
        self._conflicts.labels(self._sources.bounded(source)).inc(count)

    def held_back(self, source: str, count: int = 1) -> None:
        """Facts were told that may not move money: not signed, or of a payment whose money is stopped."""
        self._held_back.labels(self._sources.bounded(source)).inc(count)

    def busy(self, count: int = 1) -> None:
        """Entries were put aside: another worker has their resource."""
        self._busy.inc(count)

    def reclaimed(self, count: int = 1) -> None:
        """Entries were taken over from a worker that left them."""
        self._reclaimed.inc(count)

    def gone(self, count: int = 1) -> None:
        """Pending entries were no longer in the stream."""
        self._gone.inc(count)

    def infrastructure(self, kind: str) -> None:
        """Redis or Postgres failed."""
        self._infrastructure.labels(self._kinds.bounded(kind)).inc()

    def group_recreated(self) -> None:
        """The consumer group was gone."""
        self._group_recreated.inc()

    def progress(self, age_s: float = 0) -> None:
        """The worker got on, so long ago."""
        self._last_progress.set(time.time() - age_s)

    def stream_stats(self, stats: StreamStats) -> None:
        """How much waits, as just seen."""
        group, stream = stats.group, stats.stream
        self._backlog.set(stream.length if stream else 0)
        self._oldest_age.set(stats.oldest_age_ms / 1000)
        self._lag.set(group.lag if group else (stream.length if stream else 0))
        self._pending.set(group.pending if group else 0)
        self._pending_idle.set(group.oldest_pending_idle_ms / 1000 if group else 0)

    def render(self) -> bytes:
        """The text Prometheus reads. May raise FolderBusyError; reads files, so call it in a thread."""
        if self._files is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        with self._files.tidied():
            return generate_latest(registry)


def _shared_folder() -> Path | None:
    if not ValueClass._multiprocess:
        return None
    return Path(MultiProcessCollector(None)._path)  # type: ignore[no-untyped-call]
