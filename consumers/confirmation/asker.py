"""The task that asks one source's API: claim what is due, fetch, compare, book."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog
from pydantic import ValidationError

from consumers.confirmation import store
from consumers.confirmation.agreement import find_disagreement
from consumers.confirmation.booking import Booker
from consumers.confirmation.decisions import (
    DecideAgainst,
    Decision,
    PutOff,
    after_disagreement,
    after_failed_booking,
    after_no_answer,
    after_not_found,
    after_unusable,
)
from consumers.confirmation.pause import Pause
from consumers.confirmation.store import Due, Said
from consumers.handlers import Outcome, Reject
from consumers.hooks import AskHooks
from consumers.metrics import Metrics
from consumers.retry import INFRASTRUCTURE, Failure, classify, describe
from consumers.settings import Settings
from contract.event import EnvelopeError, Event
from contract.facts import Fact
from contract.money import MoneyError, check_bookable
from providers import FACT_EXTRACTORS
from providers.api import (
    Api,
    ApiRefusedError,
    ApiUnavailableError,
    ApiUnexpectedError,
    Confirmation,
    Fetched,
    Limits,
    NotFoundError,
)
from providers.api_answers import SINCE_S
from providers.facts import UnreadableError
from runtime.tasks import end

LOOK_EVERY_S = 2.0
"""How often it is looked for what other workers left, and for what is due again. A commit of this worker wakes it."""

HELD_BACK_EVERY_S = 300.0
"""How often it is looked for events on hold that nobody has asked for: of before, or of a worker that does not ask."""

IN_HAND_FACTOR = 2
"""Events in hand, as many times as requests at a time: while some are fetched, others are booked."""

REFILL_PART = 0.75
"""More is claimed once this part of them is in hand, so that a claim is not made for each one."""

FETCH_FACTOR = 2
"""One event may take several requests: all of them together this many times CONFIRM_TIMEOUT_S."""

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


class Asker:
    """Asks the API of one source, from `run` until it is cancelled. Other sources have tasks of their own."""

    def __init__(self, source: str, api: Api, tools: Tools) -> None:
        if not isinstance(api, Confirmation):
            raise TypeError(f"the API of {api.name} confirms nothing")
        self._source = source
        self._api = api
        self._confirmation: Confirmation = api
        self._tools = tools
        self._pause = Pause(time.monotonic)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._in_hand_max = IN_HAND_FACTOR * tools.settings.confirm_concurrent
        self._held_back_due_s = 0.0
        self._has_more = False
        """Whether the last claim got as many as it could take, so that more may be due."""

    def wake(self) -> None:
        """Look at once: a commit has made something due."""
        self._wake.set()

    async def run(self) -> None:
        """Ask until cancelled, and wait out every outage."""
        try:
            await self._api.open(_limits(self._api, self._tools.settings))
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

    async def _look(self) -> None:
        """Begin to ask about what is due."""
        tools, settings = self._tools, self._tools.settings
        self._wake.clear()
        if time.monotonic() >= self._held_back_due_s:
            await store.ask_for_held_back(tools.pool, self._source, settings.acquire_timeout_s)
            self._held_back_due_s = time.monotonic() + HELD_BACK_EVERY_S
        room = self._in_hand_max - len(self._tasks)
        if self._pause.left_s or room <= 0:
            return
        if self._pause.is_trying:
            room = 0 if self._tasks else 1
        lease_s = LEASE_FACTOR * settings.confirm_timeout_s
        due = (
            await store.claim_due(tools.pool, self._source, tools.claimer, room, lease_s, settings.acquire_timeout_s)
            if room else []
        )  # fmt: skip
        SINCE_S.set(asyncio.get_running_loop().time())
        for each in due:
            task = asyncio.create_task(self._ask(each))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        self._has_more = 0 < room == len(due)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._has_more and len(self._tasks) <= self._in_hand_max * REFILL_PART:
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

    async def _ask(self, due: Due) -> None:
        """Ask about one event, and carry out what follows. An outage of Postgres leaves it to the end of its claim."""
        try:
            decision, said = await self._decide(due)
            if decision:
                await self._carry_out(due, decision, said)
        except INFRASTRUCTURE as error:
            log.warning("what an API says about an event could not be recorded; it is asked again",
                        source=self._source, event_id=due.event.event_id, reason=describe(error))  # fmt: skip

    async def _decide(self, due: Due) -> tuple[Decision | None, Said | None]:
        """Return what follows; None where the event is booked, or was decided meanwhile."""
        settings = self._tools.settings
        if not due.event.body:
            return DecideAgainst("failed", "its payload is not kept any more, so that nothing can be asked"), None
        try:
            fetched = await self._fetch(due.event)
        except NotFoundError as error:
            self._pause.answered()
            return after_not_found(str(error), due.age_s, due.since_first_answer_s, settings), None
        except ApiUnexpectedError as error:
            self._pause.answered()
            return after_unusable(str(error), due.age_s, due.since_first_answer_s, settings), None
        except (ApiRefusedError, ApiUnavailableError, TimeoutError) as error:
            return self._no_answer(due, error), None
        self._pause.answered()
        self._tools.hooks("fetched")
        return await self._judge(due, fetched)

    async def _fetch(self, event: Event) -> Fetched:
        async with asyncio.timeout(FETCH_FACTOR * self._tools.settings.confirm_timeout_s):
            return await self._confirmation.fetch(event)

    def _no_answer(self, due: Due, error: ApiRefusedError | ApiUnavailableError | TimeoutError) -> PutOff:
        """Leave the API alone for a while if it is the reason, and the event in any case."""
        reason = str(error) or "the API took too long to answer"
        if isinstance(error, ApiRefusedError):
            self._tools.metrics.confirmation.no_answer(self._source, "refused")
            if self._pause.refused(error.status):
                log.error("an API refuses the credentials; what its source's events say is on hold until it accepts "
                          "them", source=self._source, reason=reason)  # fmt: skip
            return after_no_answer(reason, due.age_s)
        self._tools.metrics.confirmation.no_answer(self._source, "unavailable")
        was_trying = self._pause.is_trying
        self._pause.failed(error.retry_after_s if isinstance(error, ApiUnavailableError) else None)
        if self._pause.is_trying and not was_trying:
            log.warning("an API does not answer; what its source's events say is on hold until it does",
                        source=self._source, reason=reason)  # fmt: skip
        return after_no_answer(reason, due.age_s)

    async def _judge(self, due: Due, fetched: Fetched) -> tuple[Decision | None, Said | None]:
        """Compare what the API says with what was delivered, and book it if they agree."""
        settings = self._tools.settings
        try:
            said = _said(due.event, fetched)
        except (EnvelopeError, MoneyError, UnreadableError, ValidationError) as error:
            reason = f"what the API says cannot be read: {describe(error)}"
            return after_unusable(reason, due.age_s, due.since_first_answer_s, settings), None
        if disagreement := find_disagreement(said.reported, said.answered):
            return after_disagreement(disagreement.text, due.age_s, due.since_first_answer_s, settings), said
        try:
            outcome = await self._tools.booker.book(said)
        except Exception as error:
            is_final = isinstance(error, Reject | ValidationError)
            failure = Failure("permanent", str(error)) if is_final else classify(error)
            if failure.kind == "outage":
                raise
            return after_failed_booking(failure, due.tries, due.age_s, settings), said
        if outcome is not None:
            self._count_booked(due.event, outcome)
        return None, said

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


def _limits(api: Api, settings: Settings) -> Limits:
    """Return what this worker may ask of an API: what the settings allow, and no more than the provider does."""
    of_provider = api.limits or Limits(concurrent_max=settings.confirm_concurrent,
                                       requests_per_s_max=settings.confirm_per_s)  # fmt: skip
    return Limits(
        timeout_s=settings.confirm_timeout_s,
        attempts_max=ATTEMPTS,
        concurrent_max=min(settings.confirm_concurrent, of_provider.concurrent_max),
        requests_per_s_max=min(settings.confirm_per_s, of_provider.requests_per_s_max),
    )


def _said(event: Event, fetched: Fetched) -> Said:
    """Return what the API says, with the facts of both sides. Raise what reading the API's side raises."""
    extract_facts = FACT_EXTRACTORS.get(event.provider)
    booked = replace(
        event, body=fetched.body, type=fetched.type, headers={**event.headers, **fetched.headers}, signed="api"
    )
    answered = list(extract_facts(booked)) if extract_facts else []
    for fact in answered:
        check_bookable(fact.amount, fact.currency)
    return Said(booked, fetched, datetime.now(UTC), _reported(event), answered)


def _reported(event: Event) -> list[Fact]:
    """Return what the delivered body claims; nothing where it leaves out what money needs."""
    extract_facts = FACT_EXTRACTORS.get(event.provider)
    try:
        return list(extract_facts(event)) if extract_facts else []
    except (MoneyError, UnreadableError, ValidationError):
        return []
