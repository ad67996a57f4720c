"""The counts of what APIs said about events, and how long it took until it was booked."""

from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter

from consumers.bounded_label import BoundedLabel
from consumers.confirmation.decisions import Against
from runtime.latencies import Latencies

OUTCOMES = ("confirmed", *get_args(Against))
NO_ANSWERS = ("unavailable", "refused")


class Confirmations:
    """The counters of one worker."""

    def __init__(self, registry: CollectorRegistry, sources: BoundedLabel) -> None:
        self._sources = sources
        self._decided = Counter(
            "webhook_consumer_confirmations",
            "Events that no signature proves and that were decided by what their provider's API says",
            ("source", "outcome"),
            registry=registry,
        )
        self._no_answer = Counter(
            "webhook_consumer_confirmation_no_answer",
            "Questions that a provider's API did not answer: it was unavailable, or refused the credentials",
            ("source", "kind"),
            registry=registry,
        )
        self._took = Latencies(
            "webhook_consumer_confirmation_seconds",
            "From a request's arrival at the gateway to the booking of what its provider's API says",
            ("source",),
            registry=registry,
        )

    def expect(self, sources: Iterable[str]) -> None:
        """Show zeros for each source that is asked for: an alert sees what grows from there."""
        for source in map(self._sources.bounded, sources):
            for outcome in OUTCOMES:
                self._decided.labels(source, outcome)
            for kind in NO_ANSWERS:
                self._no_answer.labels(source, kind)

    def decided(self, source: str, outcome: str) -> None:
        """Count an event that was decided."""
        self._decided.labels(self._sources.bounded(source), outcome).inc()

    def no_answer(self, source: str, kind: str) -> None:
        """Count a question without an answer."""
        self._no_answer.labels(self._sources.bounded(source), kind).inc()

    def took(self, source: str, duration_s: float) -> None:
        """Count how long an event took from its arrival to its booking."""
        self._took.labels(self._sources.bounded(source)).observe_all([duration_s])

    def flush(self) -> None:
        """Write what was observed since the last call."""
        self._took.flush()
