"""What watches a worker at work."""

from dataclasses import dataclass

from consumers.handlers.watch import CallWatch
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Observers:
    """A worker's counters, its record of progress, the calls of its handlers, and the tests' hooks."""

    metrics: Metrics
    progress: Progress
    calls: CallWatch
    hooks: Hooks = no_hooks
