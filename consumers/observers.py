"""What watches a worker at work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from consumers.handlers.watch import CallWatch
from consumers.health import Progress
from consumers.hooks import Hooks, no_hooks
from consumers.metrics import Metrics
from consumers.spans import EventSpans
from contract.event import Event


def nobody_asks(_: Iterable[Event]) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Observers:
    """A worker's counters, its record of progress, the calls of its handlers, the tests' hooks, and its spans.

    `to_ask` is called with the events of which a commit has recorded that their APIs are to be asked.
    """

    metrics: Metrics
    progress: Progress
    calls: CallWatch
    hooks: Hooks = no_hooks
    spans: EventSpans = field(default_factory=EventSpans)
    to_ask: Callable[[Iterable[Event]], None] = nobody_asks
