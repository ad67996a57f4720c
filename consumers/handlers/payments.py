"""The built-in projection of events into payments. Registered through the same public API as user handlers.

It extracts the facts (providers), checks whether the source trusts them, and passes them to the ledger.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import asyncpg
import structlog

from consumers.handlers import Connection, Handlers, Outcome, Reject
from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import MoneyError, check_bookable
from ledger.conflicts import Claim, ask_for, hold_back_unsigned
from ledger.posting import EventFacts, lock_payments, post
from ledger.transfers import by_payment, with_implied_facts
from providers import FACT_EXTRACTORS
from providers.facts import IncompleteError, UnreadableError

log = structlog.get_logger()

PROVEN = frozenset({"body", "api"})
"""What is proven of all that the event says: its signature covers the body, or the provider's API said it."""

_DEFAULT_RULES = PostingRules()


class Asked(Protocol):
    """A source whose provider's API is asked about what no signature proves."""

    def must_ask(self, event: Event) -> bool:
        """Return whether the API is to be asked about an event, also if it has no facts."""

    def take(self, event: Event) -> Claim:
        """Begin to ask, if there is room, before the event is committed."""


class Payments:
    """Books a batch's facts in `payments`, `transfers` and `disputes`. `posting_rules`, `asked`: by source."""

    def __init__(self, posting_rules: Mapping[str, PostingRules], asked: Mapping[str, Asked] | None = None) -> None:
        self._posting_rules = posting_rules
        self._asked = asked or {}

    async def __call__(self, connection: Connection, events: Sequence[Event], wanted: AbstractSet[Kind]) -> Outcome:
        """Apply a batch. The outcome lists those facts of the wanted kinds that have become true now.

        Raise Reject for money that cannot be booked, and pydantic's ValidationError.
        """
        incomplete: Counter[str] = Counter()
        batch: list[EventFacts] = []
        for event in events:
            if extracted := self._extract(event, incomplete):
                batch.extend(by_payment(event, extracted))
        unproven = self._unproven(events, batch) if self._asked else []
        claims = [self._asked[event.source].take(event) for event in unproven]
        await lock_payments(connection, batch, events)
        trusted = [each for each in batch if self._is_trusted(each[0])]
        unsigned = [each for each in batch if not self._is_trusted(each[0])]
        try:
            outcome = await post(connection, trusted, self._rules, wanted) if trusted else Outcome()
        except asyncpg.NumericValueOutOfRangeError as error:
            raise Reject("the payment's sum would be larger than a 64-bit integer of minor units") from error
        if unsigned:
            await hold_back_unsigned(connection, unsigned, outcome)
        if unproven:
            await ask_for(connection, unproven, claims, outcome)
        outcome.incomplete = incomplete
        return outcome

    def _unproven(self, events: Sequence[Event], batch: Sequence[EventFacts]) -> list[Event]:
        """Return the events that their provider's API is to be asked about: those it must be, and what is on hold."""
        held = {(event.namespace, event.event_id) for event, _ in batch if not self._is_trusted(event)}
        return [
            event
            for event in events
            if (asked := self._asked.get(event.source))
            and ((event.namespace, event.event_id) in held or asked.must_ask(event))
        ]

    def _rules(self, event: Event) -> PostingRules:
        return self._posting_rules.get(event.source, _DEFAULT_RULES)

    def _is_trusted(self, event: Event) -> bool:
        return event.signed in PROVEN or self._rules(event).trust == "all"

    def _extract(self, event: Event, incomplete: Counter[str]) -> list[Fact]:
        extract_facts = FACT_EXTRACTORS.get(event.provider)
        try:
            facts: Sequence[Fact] = extract_facts(event) if extract_facts else ()
            for fact in facts:
                check_bookable(fact.amount, fact.currency)
        except IncompleteError as error:
            incomplete[event.source] += 1
            log.warning("the event is recorded and moves nothing: its provider left out what money needs",
                        source=event.source, event_id=event.event_id, type=event.type, reason=str(error))  # fmt: skip
            return []
        except (MoneyError, UnreadableError) as error:
            raise Reject(str(error)) from error
        return list(with_implied_facts(facts, event, self._rules(event))) if facts else []


def builtin(posting_rules: Mapping[str, PostingRules], asked: Mapping[str, Asked] | None = None) -> Handlers:
    """Return the built-in handlers for these sources' posting rules; `asked` as of Payments."""
    return Handlers(Payments(posting_rules, asked), posting_rules=posting_rules)


HANDLERS = builtin({})
"""The built-in handlers with the default posting rules for every source."""
