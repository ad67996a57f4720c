"""How long things take in a worker, as histograms. Observed on the event loop's thread only."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from consumers.bounded_label import BoundedLabel
from runtime.latencies import Latencies


class Durations:
    """The histograms of one worker."""

    def __init__(self, registry: CollectorRegistry, sources: BoundedLabel, handlers: BoundedLabel) -> None:
        self._sources = sources
        self._handlers = handlers

        def latencies(name: str, text: str, *labels: str) -> Latencies:
            return Latencies(f"webhook_consumer_{name}_seconds", text, labels, registry=registry)

        self._accepted_to_committed = latencies(
            "accept_to_commit", "From a request's arrival at the gateway to its event's commit", "source"
        )
        self._commit = latencies("commit", "COMMIT alone: Postgres' disk, and its standbys where it waits for them")
        self._handler = latencies("handler_duration", "One call of a handler, also where it failed", "handler")
        self._one_commit = self._commit.labels()

    def committed(self, commit_s: float) -> None:
        """Count a COMMIT."""
        self._one_commit.observe(commit_s)

    def accepted_to_committed(self, source: str, durations_s: Iterable[float]) -> None:
        """Count how long events took from their arrival to their commit."""
        self._accepted_to_committed.labels(self._sources.bounded(source)).observe_all(durations_s)

    def handler_took(self, handler: str, duration_s: float) -> None:
        """Count a call of a handler."""
        self._handler.labels(self._handlers.bounded(handler)).observe(duration_s)

    def flush(self) -> None:
        """Write what was observed since the last call."""
        for each in (self._accepted_to_committed, self._commit, self._handler):
            each.flush()
