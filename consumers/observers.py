"""What watches a worker at work."""

from dataclasses import dataclass, field

from consumers.handlers.watch import CallWatch
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.metrics import Metrics
from consumers.spans import EventSpans


@dataclass(frozen=True, slots=True)
class Observers:
    """A worker's counters, its record of progress, the calls of its handlers, the tests' hooks, and its spans."""

    metrics: Metrics
    progress: Progress
    calls: CallWatch
    hooks: Hooks = no_hooks
    spans: EventSpans = field(default_factory=EventSpans)
