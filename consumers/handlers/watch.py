"""Which handlers run, for whom: read by the worker's side lane, and by a thread while the event loop is blocked."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consumers.settings import Settings
from contract.event import Event

if TYPE_CHECKING:
    from consumers.handlers.calls import Call

SLOW_SHARE = 0.5
"""The share of slow calls from which all calls of a handler are made in the side lane."""

SHARE_WEIGHT = 0.02
"""How much one call changes the share: the last fifty or so decide. A run of 35 slow calls is needed at first."""

HANDLERS_REMEMBERED_MAX = 1000

RESOURCES_REMEMBERED_MAX = 10_000
"""The payments and the like that are known to make handlers slow; above it, the oldest is forgotten."""


@dataclass(slots=True)  # not frozen, which would take twice as long: one is made for each step
class Step:
    """A piece of a handler's own code that runs now, from one `await` to the next. `since_s` is monotonic."""

    handler: str
    event: Event
    since_s: float


class CallWatch:
    """The calls of one worker. `slow_s`: how long a call may keep its batch waiting for anything but Postgres."""

    def __init__(
        self, slow_s: float, blocked_s: float, took: Callable[[str, float], None] = lambda _handler, _s: None
    ) -> None:
        """`took` is called with each call's handler and duration."""
        self.took = took
        self.slow_s = slow_s
        self.blocked_s = blocked_s
        self.step: Step | None = None
        """The piece of code on the event loop now; None while no handler's code is."""
        self._shares: dict[str, float] = {}
        self._slow: dict[tuple[str, str, str], None] = {}
        """The last handlers and resources whose calls were slow."""
        self._handlers: dict[int, str] = {}

    @classmethod
    def of(cls, settings: Settings, took: Callable[[str, float], None]) -> "CallWatch":
        """Return a watch with a worker's limits."""
        return cls(settings.handler_slow_ms / 1000, settings.handler_blocked_s, took)

    def is_slow(self, handler: str, event: Event) -> bool:
        """Return whether most calls of this handler were slow of late, or the last one for the event's resource."""
        if not (self._slow or self._shares):
            return False
        return (handler, event.namespace, event.resource) in self._slow or self._shares.get(handler, 0.0) >= SLOW_SHARE

    def note(self, handler: str, event: Event, *, is_slow: bool) -> None:
        """Note whether a call was slow. Only handlers that ever were are remembered."""
        if not (is_slow or self._slow or self._shares):
            return
        call = (handler, event.namespace, event.resource)
        self._slow.pop(call, None)
        if is_slow:
            self._slow[call] = None
            if len(self._slow) > RESOURCES_REMEMBERED_MAX:
                del self._slow[next(iter(self._slow))]
        elif handler not in self._shares:
            return
        share = self._shares.get(handler, 0.0) * (1 - SHARE_WEIGHT) + (SHARE_WEIGHT if is_slow else 0.0)
        if share < SHARE_WEIGHT / 2:
            self._shares.pop(handler, None)
        elif handler in self._shares or len(self._shares) < HANDLERS_REMEMBERED_MAX:
            self._shares[handler] = share

    def begin(self, event: Event, handler: str) -> None:
        """Note that a handler is called for an event, in the side lane."""
        self._handlers[id(event)] = handler

    def end(self, event: Event) -> None:
        """Note that no handler is called for an event any more."""
        self._handlers.pop(id(event), None)

    def handler_of(self, event: Event) -> str | None:
        """Return the handler that is called for an event in the side lane now, running or waiting."""
        return self._handlers.get(id(event))


class Watched:
    """Awaits one call, and notes in the watch when the call's own code runs.

    `blocked_s`: the longest time that this code ran without awaiting anything.
    """

    __slots__ = ("_call", "_watch", "blocked_s")

    def __init__(self, call: "Call", watch: CallWatch) -> None:
        self._call = call
        self._watch = watch
        self.blocked_s = 0.0

    def __await__(self) -> Generator[Any, Any, None]:
        """Drive the call as `await` does, step by step."""
        steps: Any = self._call.begin().__await__()
        raised: BaseException | None = None
        while True:
            began_s = time.monotonic()
            self._watch.step = Step(self._call.name, self._call.event, began_s)
            try:
                awaited = steps.send(None) if raised is None else steps.throw(raised)
            except StopIteration:
                return
            finally:
                self._watch.step = None
                self.blocked_s = max(self.blocked_s, time.monotonic() - began_s)
            raised = None
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - it belongs to the call
                raised = error
