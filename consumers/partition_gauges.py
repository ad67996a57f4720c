"""The gauges of the partitions, where there are several."""

from prometheus_client import CollectorRegistry, Gauge

from consumers.stream_stats import StreamStats


class PartitionGauges:
    """Each shows what a worker of this host saw last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._partitions = Gauge(
            "webhook_consumer_partitions", "Streams among which events are shared, and that workers read",
            registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._backlog = Gauge(
            "webhook_consumer_partition_backlog_entries",
            "Entries in the stream of one partition, where there are several",
            ["partition"], registry=registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip

    def show(self, stats: StreamStats) -> None:
        """Show the length of each stream."""
        self._partitions.set(len(stats.parts) or 1)
        for number, part in enumerate(stats.parts):
            self._backlog.labels(str(number)).set(part.stream.length if part.stream else 0)
