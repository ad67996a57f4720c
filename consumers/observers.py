"""What watches a worker at work."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.handlers.watch import CallWatch
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.metrics import Metrics
from consumers.spans import EventSpans
from contract.event import Event


class Asking:
    """Who asks providers' APIs about what is recorded; this one does not."""

    def read(self, events: Iterable[Event]) -> None:
        """Note that these events are about to be recorded."""

    def recorded(self, events: Iterable[Event]) -> None:
        """Note that a commit has recorded these events, which are to be asked about."""


@dataclass(frozen=True, slots=True)
class Observers:
    """A worker's counters, its record of progress, its handlers' calls, the tests' hooks, its spans, and who asks."""

    metrics: Metrics
    progress: Progress
    calls: CallWatch
    hooks: Hooks = no_hooks
    spans: EventSpans = field(default_factory=EventSpans)
    asking: Asking = field(default_factory=Asking)
