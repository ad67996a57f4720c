"""One question to a source's API: fetch, compare, and say what follows. Writes nothing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from consumers.confirmation.agreement import find_disagreement
from consumers.confirmation.counters import Confirmations
from consumers.confirmation.decisions import (
    Decision,
    PutOff,
    after_disagreement,
    after_no_answer,
    after_not_found,
    after_unusable,
    without_payload,
)
from consumers.confirmation.pause import Pause
from consumers.confirmation.store import Due, Said
from consumers.hooks import AskHooks
from consumers.retry import describe
from consumers.settings import Settings
from contract.event import EnvelopeError, Event
from contract.facts import Fact
from contract.money import MoneyError, check_bookable
from providers import FACT_EXTRACTORS
from providers.api import (
    ApiRefusedError,
    ApiUnavailableError,
    ApiUnexpectedError,
    Confirmation,
    Fetched,
    NotFoundError,
)
from providers.facts import UnreadableError

FETCH_FACTOR = 2
"""One event may take several requests: all of them together this many times CONFIRM_TIMEOUT_S."""

log = structlog.get_logger()


class Verdict(NamedTuple):
    """What follows from asking about an event. Without a decision, what the API said is to be booked."""

    decision: Decision | None
    said: Said | None = None


class Questions:
    """The questions to one source's API, which is left alone for a while where it does not answer."""

    def __init__(
        self, source: str, api: Confirmation, pause: Pause, settings: Settings, counters: Confirmations, hooks: AskHooks
    ) -> None:
        self._source = source
        self._api = api
        self._pause = pause
        self._settings = settings
        self._counters = counters
        self._hooks = hooks

    async def ask(self, due: Due) -> Verdict:
        """Ask about an event, and compare."""
        if not due.event.body:
            return Verdict(without_payload())
        try:
            async with asyncio.timeout(FETCH_FACTOR * self._settings.confirm_timeout_s):
                fetched = await self._api.fetch(due.event)
            self._pause.answered()
            self._hooks("fetched")
            return self._judge(due, fetched)
        except NotFoundError as error:
            self._pause.answered()
            return Verdict(after_not_found(str(error), due.age_s, due.since_first_answer_s, self._settings))
        except ApiUnexpectedError as error:
            self._pause.answered()
            return Verdict(self._unusable(due, str(error)))
        except (ApiRefusedError, ApiUnavailableError, TimeoutError) as error:
            return Verdict(self._no_answer(due, error))
        except Exception as error:
            log.exception("asking an API about an event has a bug; it is asked again for a while",
                          source=self._source, event_id=due.event.event_id)  # fmt: skip
            return Verdict(self._unusable(due, f"asking about it has a bug ({type(error).__name__})"))

    def _unusable(self, due: Due, reason: str) -> Decision:
        return after_unusable(reason, due.age_s, due.since_first_answer_s, self._settings)

    def _no_answer(self, due: Due, error: ApiRefusedError | ApiUnavailableError | TimeoutError) -> PutOff:
        """Leave the API alone for a while if it is the reason, and the event in any case."""
        reason = str(error) or "the API took too long to answer"
        if isinstance(error, ApiRefusedError):
            self._counters.no_answer(self._source, "refused")
            if self._pause.refused(error.status):
                log.error("an API refuses the credentials; what its source's events say is on hold until it accepts "
                          "them", source=self._source, reason=reason)  # fmt: skip
            return after_no_answer(reason, due.age_s)
        self._counters.no_answer(self._source, "unavailable")
        was_trying = self._pause.is_trying
        self._pause.failed(error.retry_after_s if isinstance(error, ApiUnavailableError) else None)
        if self._pause.is_trying and not was_trying:
            log.warning("an API does not answer; what its source's events say is on hold until it does",
                        source=self._source, reason=reason)  # fmt: skip
        return after_no_answer(reason, due.age_s)

    def _judge(self, due: Due, fetched: Fetched) -> Verdict:
        """Compare what the API says with what was delivered."""
        try:
            said = _said(due.event, fetched)
        except (EnvelopeError, MoneyError, UnreadableError, ValidationError) as error:
            return Verdict(self._unusable(due, f"what the API says cannot be read: {describe(error)}"))
        if disagreement := find_disagreement(said.reported, said.answered):
            decision = after_disagreement(disagreement.text, due.age_s, due.since_first_answer_s, self._settings)
            return Verdict(decision, said)
        return Verdict(None, said)


def _said(event: Event, fetched: Fetched) -> Said:
    """Return what the API says, with the facts of both sides. Raise what reading the API's side raises."""
    extract_facts = FACT_EXTRACTORS.get(event.provider)
    booked = replace(
        event, body=fetched.body, type=fetched.type, headers={**event.headers, **fetched.headers}, signed="api",
        account=event.account if fetched.account is None else fetched.account,
    )  # fmt: skip
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
