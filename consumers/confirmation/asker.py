"""The task that asks one source's API: take what a commit has just recorded, claim what else is due, ask, and book."""

import asyncio
import random
import time
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog
from pydantic import ValidationError

from consumers.confirmation import store
from consumers.confirmation.booking import Booker
from consumers.confirmation.decisions import Decision, PutOff, after_failed_booking
from consumers.confirmation.pause import Pause
from consumers.confirmation.question import Questions, Verdict
from consumers.confirmation.store import Due, Said
from consumers.handlers import Outcome, Reject
from consumers.hooks import AskHooks
from consumers.metrics import Metrics
from consumers.retry import INFRASTRUCTURE, Failure, classify, describe
from consumers.settings import Settings
from contract.event import Event
from ledger.conflicts import UNCLAIMED, Claim
from providers.api import Api, Confirmation, Limits
from providers.api_answers import SINCE_S
from runtime.tasks import end

LOOK_EVERY_S = 2.0
"""How often it is looked for what other workers left, and for what is due again. A commit of this worker wakes it."""

HELD_BACK_EVERY_S = 300.0
"""How often it is looked for events on hold that nobody has asked for: of before, or of a worker that does not ask."""

IN_HAND_FACTOR = 2
"""Events in hand, as many times as requests at a time: while some are fetched, others are booked. What is taken while a
claim is under way comes on top, and as many that are answered and not recorded yet."""

REFILL_PART = 0.75
"""More is claimed once this part of them is in hand, so that a claim is not made for each one."""

LEASE_FACTOR = 3
"""How long an event is claimed, in times of CONFIRM_TIMEOUT_S. Two workers that ask for one event book it once."""

ATTEMPTS = 1
"""Attempts of one request: what fails is put off, and asked again as a whole."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tools:
    """What the askers of a worker share."""

    pool: "asyncpg.Pool[Any]"
    booker: Booker
    settings: Settings
    metrics: Metrics
    hooks: AskHooks
    claimer: str
    """The name under which this worker claims, which no other has."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """An event that is asked about before it is recorded. `recorded` is False once it is dropped."""

    event: Event
    recorded: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def is_of(self, event: Event) -> bool:
        """Return whether it is this event: another may have the same id. Only its mode may have been found since."""
        return replace(self.event, mode=event.mode) == event

    def end(self, *, recorded: bool) -> None:
        if not self.recorded.done():
            self.recorded.set_result(recorded)


class Asker:
    """Asks the API of one source, from `run` until it is cancelled. Other sources have tasks of their own.

    An event is asked about as soon as a worker of this process has read it (`take`), and what was answered is booked
    once it is committed (`recorded`). If it never is, the answer is dropped. What nobody takes is claimed when it is
    due; so is what was taken by a process that died, once its claim is over.
    """

    def __init__(self, source: str, api: Api, tools: Tools) -> None:
        if not isinstance(api, Confirmation):
            raise TypeError(f"the API of {api.name} confirms nothing")
        self._source = source
        self._api = api
        self._confirmation: Confirmation = api
        self._tools = tools
        self._pause = Pause(time.monotonic)
        self._questions = Questions(
            source, api, self._pause, tools.settings, tools.metrics.confirmation, tools.hooks
        )  # fmt: skip
        self._lease_s = LEASE_FACTOR * tools.settings.confirm_timeout_s
        self._limits = limits_of(api, tools.settings)
        self._in_hand_max = in_hand_max(self._limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: dict[tuple[str, str], _Taken] = {}
        self._answered = 0
        """How many tasks wait for nothing but the commit of their event."""
        self._wake = asyncio.Event()
        self._held_back_due_s = 0.0
        self._has_more = True
        """Whether more may be due than is in hand, as at the start: that comes first, and nothing is taken."""

    def take(self, event: Event) -> Claim:
        """Begin to ask about an event that is to be recorded. Return its claim: UNCLAIMED where there is no room."""
        taken = self._taken.get(_name(event))
        if taken is None or not taken.is_of(event):
            if self._has_more or self._pause.left_s or self._pause.is_trying or self._room <= 0:
                return UNCLAIMED
            if len(self._taken) >= self._in_hand_max:  # they are recorded in milliseconds: the oldest will never be
                self._taken.pop(next(iter(self._taken))).end(recorded=False)
            self._taken[_name(event)] = taken = _Taken(event)
            self._begin(Due(event), taken)
        return Claim(self._tools.claimer, self._lease_s)

    def recorded(self, event: Event) -> None:
        """Note that an event is committed. If it was not taken, look for it at once."""
        taken = self._taken.get(_name(event))
        if taken and taken.is_of(event):
            del self._taken[_name(event)]
            taken.end(recorded=True)
        else:
            self._has_more = True
            self._wake.set()

    def must_ask(self, event: Event) -> bool:
        """Return whether the API is to be asked about an event, also if it has no facts."""
        return self._confirmation.must_ask(event)

    async def run(self) -> None:
        """Ask until cancelled, and wait out every outage."""
        try:
            await self._api.open(self._limits)
            while True:
                try:
                    await self._look()
                except INFRASTRUCTURE as error:
                    log.warning("what is to be asked of an API could not be read; it is tried again",
                                source=self._source, reason=describe(error), again_s=LOOK_EVERY_S)  # fmt: skip
                except Exception:
                    log.exception("looking for what is to be asked of an API has a bug; it is tried again",
                                  source=self._source, again_s=LOOK_EVERY_S)  # fmt: skip
                await self._wait()
        finally:
            for task in list(self._tasks):
                await end(task)
            await self._api.close()

    @property
    def _room(self) -> int:
        """How many more events may be in hand, besides those that are answered and not recorded yet."""
        return self._in_hand_max - len(self._tasks) + self._answered

    async def _look(self) -> None:
        """Begin to ask about what is due."""
        tools, timeout_s = self._tools, self._tools.settings.acquire_timeout_s
        self._wake.clear()
        if time.monotonic() >= self._held_back_due_s:
            await store.ask_for_held_back(tools.pool, self._source, timeout_s)
            self._held_back_due_s = time.monotonic() + HELD_BACK_EVERY_S
        room = self._room
        if self._pause.is_trying:
            room = 1 if room == self._in_hand_max else 0
        if self._pause.left_s or room <= 0:
            return
        claimed = await store.claim_due(tools.pool, self._source, tools.claimer, room, self._lease_s, timeout_s)
        for due in claimed:
            self._begin(due)
        self._has_more = len(claimed) == room

    def _begin(self, due: Due, taken: _Taken | None = None) -> None:
        context = copy_context()
        context.run(SINCE_S.set, asyncio.get_running_loop().time())  # an answer from before may be older than the event
        task = asyncio.create_task(self._ask(due, taken), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._has_more and self._room >= self._in_hand_max * (1 - REFILL_PART):
            self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("asking an API about an event has a bug; it is asked again when its claim is over",
                      source=self._source, exc_info=error)  # fmt: skip

    async def _wait(self) -> None:
        """Wait until something may be due, or until there is room for more."""
        if pause_s := self._pause.left_s:
            await asyncio.sleep(pause_s)
            return
        with suppress(TimeoutError):
            wait_s = LOOK_EVERY_S * random.uniform(0.75, 1.25)  # noqa: S311 - so that workers do not ask in step
            await asyncio.wait_for(self._wake.wait(), wait_s)

    async def _ask(self, due: Due, taken: _Taken | None) -> None:
        """Ask about one event, and carry out what follows. An outage of Postgres leaves it to the end of its claim."""
        try:
            verdict = await self._questions.ask(due)
            if taken is None or await self._is_recorded(taken):
                await self._follow(due, verdict)
        except INFRASTRUCTURE as error:
            log.warning("what an API says about an event could not be recorded; it is asked again",
                        source=self._source, event_id=due.event.event_id, reason=describe(error))  # fmt: skip
        finally:
            if taken and self._taken.get(_name(due.event)) is taken:
                del self._taken[_name(due.event)]

    async def _is_recorded(self, taken: _Taken) -> bool:
        """Wait until an event is committed, as long as its claim would last."""
        self._answered += 1
        try:
            async with asyncio.timeout(self._lease_s):
                return await taken.recorded
        except TimeoutError:
            return False
        finally:
            self._answered -= 1

    async def _follow(self, due: Due, verdict: Verdict) -> None:
        decision, said = verdict
        if decision is None and said:
            decision = await self._book(due, said)
        if decision:
            await self._carry_out(due, decision, said)

    async def _book(self, due: Due, said: Said) -> Decision | None:
        """Book what the API says. Return what follows if that fails; None if it is booked, or was decided before."""
        try:
            outcome = await self._tools.booker.book(said)
        except Exception as error:
            is_final = isinstance(error, Reject | ValidationError)
            failure = Failure("permanent", str(error)) if is_final else classify(error)
            if failure.kind == "outage":
                raise
            return after_failed_booking(failure, due.tries, due.age_s, self._tools.settings)
        if outcome is not None:
            self._count_booked(due.event, outcome)
        return None

    async def _carry_out(self, due: Due, decision: Decision, said: Said | None) -> None:
        tools, event = self._tools, due.event
        if isinstance(decision, PutOff):
            await store.put_off(tools.pool, event, tools.claimer, decision, tools.settings.acquire_timeout_s)
            return
        if await store.decide_against(tools.pool, event, decision, said, tools.settings.acquire_timeout_s):
            tools.metrics.confirmation.decided(self._source, decision.state)
            log.error("a provider's API does not confirm an event; nothing of it is booked (make why says more)",
                      source=self._source, event_id=event.event_id, state=decision.state)  # fmt: skip

    def _count_booked(self, event: Event, outcome: Outcome) -> None:
        metrics = self._tools.metrics
        metrics.confirmation.decided(self._source, "confirmed")
        metrics.confirmation.took(self._source, (datetime.now(UTC) - event.received_at).total_seconds())
        for source, count in outcome.held_back.items():
            metrics.held_back(source, count)
        for source, count in outcome.conflicts.items():
            metrics.conflicts(source, count)


def _name(event: Event) -> tuple[str, str]:
    return event.namespace, event.event_id


def in_hand_max(limits: Limits) -> int:
    """Return how many events may be in hand: their requests must all be made while the first one may still take."""
    return max(1, min(IN_HAND_FACTOR * limits.concurrent_max, int(limits.requests_per_s_max * limits.timeout_s)))


def limits_of(api: Api, settings: Settings) -> Limits:
    """Return what this worker may ask of an API: what the settings allow, and no more than the provider does."""
    of_provider = api.limits or Limits(concurrent_max=settings.confirm_concurrent,
                                       requests_per_s_max=settings.confirm_per_s)  # fmt: skip
    return Limits(
        timeout_s=settings.confirm_timeout_s,
        attempts_max=ATTEMPTS,
        concurrent_max=min(settings.confirm_concurrent, of_provider.concurrent_max),
        requests_per_s_max=min(settings.confirm_per_s, of_provider.requests_per_s_max),
    )
