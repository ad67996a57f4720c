"""A worker's Prometheus metrics. Each method is one line in the worker."""

import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from consumers.bounded_label import BoundedLabel
from consumers.confirmation.counters import Confirmations
from consumers.durations import Durations
from consumers.metrics_folder import MetricsFolder
from consumers.partition_gauges import PartitionGauges
from consumers.stream_stats import StreamStats
from consumers.waiting_gauges import WaitingGauges
from runtime.version import version

UNREADABLE = "unreadable"
"""The source of entries that cannot be read."""

_BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_DURATIONS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


def _show_version(registry: CollectorRegistry) -> None:
    name = "webhook_consumer_build_info"
    Gauge(name, "Always 1.", ["version"], registry=registry, multiprocess_mode="livemin").labels(version()).set(1)


def _count_workers(registry: CollectorRegistry) -> Gauge:
    return Gauge("webhook_consumer_workers", "Workers alive", registry=registry, multiprocess_mode="livesum")


class Metrics:
    """All metrics of one worker; with `folder`, which PROMETHEUS_MULTIPROC_DIR names, of all workers of the host."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = MetricsFolder(folder) if folder else None
        self._registry = registry = CollectorRegistry()
        self._sources, self._kinds, self._handlers = BoundedLabel(), BoundedLabel(), BoundedLabel()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"webhook_consumer_{name}", text, labels, registry=registry)

        def shared(name: str, text: str) -> Gauge:
            return Gauge(f"webhook_consumer_{name}", text, registry=registry, multiprocess_mode="livemostrecent")

        with self._folder.joining() if self._folder else nullcontext():
            self._applied = counter("events_applied", "Events committed for the first time", "source")
            self._duplicates = counter("events_duplicate", "Entries whose event was committed before", "source")
            self._dead = counter("events_dead", "Entries written to the dead letters", "source")
            self._retried = counter("events_retried", "Attempts that failed and will be repeated", "source", "kind")
            self._conflicts = counter(
                "conflicts", "Contradictions about money: that payment stops until somebody decides", "source"
            )
            self._held_back = counter(
                "facts_held_back", "Facts on hold: reported, but they may not move money", "source"
            )
            self._incomplete = counter(
                "events_incomplete",
                "Events recorded whose money was left out by their provider: nothing moved",
                "source",
            )
            self._other_mode = counter(
                "events_of_other_mode", "Events recorded without effect: test events of a live source, or live ones of "
                "a test source", "source",
            )  # fmt: skip
            self._busy = counter("locks_busy", "Entries put aside because another worker has their resource")
            self._reclaimed = counter("entries_reclaimed", "Entries taken over from a worker that left them")
            self._gone = counter("entries_gone", "INCIDENT: entries that vanished from the stream before their commit")
            self._infrastructure = counter("infrastructure_failures", "Failures of Redis or Postgres, by kind", "kind")
            self._group_recreated = counter("group_recreated", "INCIDENT: the consumer group was gone and made again")
            self._restored = counter("restores", "INCIDENT: a server was restored from an older copy", "server")
            self._handler_slow = counter(
                "handler_slow", "Events that left their batch because a handler was slow", "handler"
            )
            self._handler_blocked = counter(
                "handler_blocked", "INCIDENT: a handler blocked the event loop of its worker", "handler"
            )
            self._batch_size = Histogram(
                "webhook_consumer_batch_size", "Entries of one batch", buckets=_BATCH_SIZES, registry=registry
            )
            self._batch_duration = Histogram(
                "webhook_consumer_batch_duration_seconds",
                "A batch, from its locks to its commit",
                buckets=_DURATIONS_S,
                registry=registry,
            )
            self._backlog = shared("backlog_entries", "Entries in the stream, committed ones are not")
            self._lag = shared("lag_entries", "Entries that no worker has read")
            self._pending = shared("pending_entries", "Entries read and not committed")
            self._pending_idle = shared("oldest_pending_idle_seconds", "Since the oldest pending entry was touched")
            self._oldest_age = shared("oldest_entry_age_seconds", "Since the oldest entry in the stream was accepted")
            self._redis_up = shared("redis_up", "1 while Redis answers a worker, else 0")
            self.waiting, self._partitions = WaitingGauges(registry), PartitionGauges(registry)
            self.durations = Durations(registry, self._sources, self._handlers)
            self.confirmation = Confirmations(registry, self._sources)
            _show_version(registry)
            self._workers = _count_workers(registry)
            self._last_progress = Gauge(
                "webhook_consumer_last_progress_timestamp_seconds", "When the slowest worker last made progress",
                registry=registry, multiprocess_mode="livemin",
            )  # fmt: skip
            self._workers.set(1)
            self.progress()

    def expect(self, sources: Iterable[str]) -> None:
        """Show a zero for the dead letters of each source: only what grows from one rings WebhookDeadLettersRising."""
        for source in (UNREADABLE, *sources):
            self._dead.labels(self._sources.bounded(source))

    def batch(self, size: int, duration_s: float) -> None:
        """Count a batch, with its duration from locks to commit."""
        self._batch_size.observe(size)
        self._batch_duration.observe(duration_s)

    def applied(self, source: str, count: int = 1) -> None:
        """Count events committed for the first time."""
        self._applied.labels(self._sources.bounded(source)).inc(count)

    def duplicates(self, source: str, count: int = 1) -> None:
        """Count entries whose event was committed before."""
        self._duplicates.labels(self._sources.bounded(source)).inc(count)

    def dead(self, source: str) -> None:
        """Count an entry that was written to the dead letters."""
        self._dead.labels(self._sources.bounded(source)).inc()

    def retried(self, source: str, kind: str) -> None:
        """Count an attempt that failed and will be repeated."""
        self._retried.labels(self._sources.bounded(source), self._kinds.bounded(kind)).inc()

    def conflicts(self, source: str, count: int = 1) -> None:
        """Count events that contradict each other about money."""
        self._conflicts.labels(self._sources.bounded(source)).inc(count)

    def held_back(self, source: str, count: int = 1) -> None:
        """Count facts that may not move money: they are not signed, or their payment is stopped by a conflict."""
        self._held_back.labels(self._sources.bounded(source)).inc(count)

    def incomplete(self, source: str, count: int = 1) -> None:
        """Count events that were recorded and moved nothing, because their provider left out what money needs."""
        self._incomplete.labels(self._sources.bounded(source)).inc(count)

    def other_mode(self, source: str, count: int = 1) -> None:
        """Count events of the other mode than their source's, which moved no money."""
        self._other_mode.labels(self._sources.bounded(source)).inc(count)

    def busy(self, count: int = 1) -> None:
        """Count entries that were delayed because another worker has their resource."""
        self._busy.inc(count)

    def reclaimed(self, count: int = 1) -> None:
        """Count entries that were reclaimed from a dead worker."""
        self._reclaimed.inc(count)

    def gone(self, count: int = 1) -> None:
        """Count pending entries that were no longer in the stream."""
        self._gone.inc(count)

    def handler_slow(self, handler: str) -> None:
        """Count an event that left its batch because this handler was slow."""
        self._handler_slow.labels(self._handlers.bounded(handler)).inc()

    def handler_blocked(self, handler: str) -> None:
        """Count a handler that blocked the event loop."""
        self._handler_blocked.labels(self._handlers.bounded(handler)).inc()

    def infrastructure(self, kind: str) -> None:
        """Count a failure of Redis or Postgres."""
        self._infrastructure.labels(self._kinds.bounded(kind)).inc()

    def group_recreated(self) -> None:
        """Count a consumer group that was lost and made again."""
        self._group_recreated.inc()

    def restored(self, server: str) -> None:
        """Count a restore of Redis or Postgres from an older copy."""
        self._restored.labels(server).inc()

    def progress(self, age_s: float = 0) -> None:
        """Show that the worker last made progress `age_s` ago."""
        self._last_progress.set(time.time() - age_s)

    def stream_stats(self, stats: StreamStats | None) -> None:
        """Show the backlog; None: Redis does not answer."""
        self.durations.flush()
        self.confirmation.flush()
        self._redis_up.set(int(stats is not None))
        if stats is None:
            return
        group, stream = stats.group, stats.stream
        self._backlog.set(stream.length if stream else 0)
        self._oldest_age.set(stats.oldest_age_ms / 1000)
        self._lag.set(group.lag if group else (stream.length if stream else 0))
        self._pending.set(group.pending if group else 0)
        self._pending_idle.set(group.oldest_pending_idle_ms / 1000 if group else 0)
        self._partitions.show(stats)

    def takes_turn(self, every_s: float) -> bool:
        """Return whether this worker is the one of its host that asks Postgres now, if one does so `every_s`."""
        return self._folder.takes_turn("postgres", every_s) if self._folder else True

    def render(self) -> bytes:
        """Return the text for Prometheus. Raises FolderBusyError; reads files, so call it in a thread."""
        return self._folder.render() if self._folder else generate_latest(self._registry)
