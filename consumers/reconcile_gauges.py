"""The gauges of how completely what providers list has arrived, as the reconciler keeps it in Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Gauge

from contract.accounts import PostingRulesError
from providers.api_access import read_duration
from runtime.sources_file import read_setting
from sql import load

if TYPE_CHECKING:
    import asyncpg

RECONCILE = load("reconcile")


@dataclass(frozen=True, slots=True)
class Compared:
    """How completely a source's events have arrived. Times are Unix seconds, 0 before the first run.

    `open_findings`: what differs, and was neither repaired nor closed, by kind.
    """

    source: str
    complete_until_s: float
    succeeded_at_s: float
    failures: int
    open_findings: Mapping[str, int]


async def read_compared(connection: "asyncpg.Connection[Any]") -> list[Compared]:
    """Return every source that was ever compared with its provider's list."""
    return [
        Compared(
            row["source"],
            row["complete_until"].timestamp() if row["complete_until"] else 0,
            row["succeeded_at"].timestamp() if row["succeeded_at"] else 0,
            row["failures"],
            {kind: row[f"open_{kind}"] for kind in ("missing", "extra", "different")},
        )
        for row in await connection.fetch(RECONCILE["read_reconciliations"])
    ]


def read_intervals(path: Path) -> dict[str, float]:
    """Return how often each source with `reconcile_every` is to be compared, in seconds. Raise PostingRulesError."""
    intervals = {}
    for source, text in read_setting(path, "reconcile_every").items():
        try:
            intervals[source] = read_duration(text).total_seconds()
        except ValueError as error:
            raise PostingRulesError(f"{path}: [{source}] reconcile_every: {error}") from error
    return intervals


class ReconcileGauges:
    """Each shows what a worker of this host saw last. Only sources that are compared have any."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def shared(name: str, text: str, *labels: str) -> Gauge:
            name = f"webhook_consumer_reconcile_{name}"
            return Gauge(name, text, ("source", *labels), registry=registry, multiprocess_mode="livemostrecent")

        self._complete_until = shared(
            "complete_until_timestamp_seconds", "Nothing that the provider lists from before this is missing; 0 before "
            "the first comparison",
        )  # fmt: skip
        self._succeeded_at = shared(
            "last_success_timestamp_seconds", "When a comparison with the provider's list last came to its end, or 0"
        )
        self._failures = shared("failures", "Comparisons that have failed since one came to its end")
        self._findings = shared(
            "findings_open", "Events or payments that differ from the provider's list, neither repaired nor closed",
            "kind",
        )  # fmt: skip
        self._interval = shared("interval_seconds", "How often the source is to be compared: reconcile_every")
        self._scheduled: frozenset[str] = frozenset()

    def expect(self, every_s: Mapping[str, float]) -> None:
        """Show how often sources are to be compared: one that never was counts as never complete."""
        self._scheduled = frozenset(every_s)
        for source, seconds in every_s.items():
            self._interval.labels(source).set(seconds)

    def show(self, compared: Sequence[Compared]) -> None:
        """Show what was read."""
        for each in compared:
            self._complete_until.labels(each.source).set(each.complete_until_s)
            self._succeeded_at.labels(each.source).set(each.succeeded_at_s)
            self._failures.labels(each.source).set(each.failures)
            for kind, count in each.open_findings.items():
                self._findings.labels(each.source, kind).set(count)
        for source in self._scheduled - {each.source for each in compared}:
            self._complete_until.labels(source).set(0)
