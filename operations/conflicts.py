"""Conflicts: two events that report different money for one transfer. List them, find them, decide about them.

The fields of a row's class have the names of its columns; a `movement` is a transfer's key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import asyncpg

from consumers.handlers import HandlerFailed, Handlers
from consumers.store import read_applied_events
from contract.event import Event
from contract.facts import DISPUTE_KINDS, Fact, Kind
from ledger.conflicts import recompute_payments
from ledger.disputes import recompute_disputes
from ledger.outcome import EventFact, Outcome
from ledger.posting import book
from ledger.transfers import TRANSFER_RULES, PaymentUpdate, partition_conflicting
from operations.log import Act, record
from operations.payment_acts import connection_lost, exclusive_transaction
from sql import load
from sql.connect import Connection

CONFLICTS = load("conflicts")

Keep = Literal["booked", "reported"]
"""Which of the two is right: the money that is booked, or the money that the later event reported."""

_KINDS: dict[str, Kind] = {rule.name: kind for kind, rule in TRANSFER_RULES.items()}

_CURRENCY_ONLY = "currency"
"""Prefix of the key of a conflict about a payment's currency alone. There is no transfer to book for it."""


@dataclass(frozen=True, slots=True)
class ConflictSummary:
    """One open conflict as a list shows it. `waiting` counts the payment's facts that its decision releases."""

    id: int
    namespace: str
    payment_id: str
    movement: str
    booked_amount: int | None
    booked_currency: str | None
    reported_amount: int
    reported_currency: str
    event_id: str
    found_at: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class ConflictMatch:
    """One open conflict that an operator's number or payment id matches."""

    id: int
    namespace: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """One open conflict, read under its payment's lock."""

    id: int
    movement: str
    reported_amount: int
    reported_currency: str
    event_id: str
    dispute_id: str | None
    booked_for: str | None
    """The payment for which the transfer is booked, None if it is not booked."""

    @property
    def is_currency_only(self) -> bool:
        """True if no transfer is concerned, so that either decision books nothing."""
        return self.movement.partition(":")[0] == _CURRENCY_ONLY

    @property
    def fact(self) -> Fact:
        """The fact that the later event reported."""
        name, _, object_ = self.movement.partition(":")
        return Fact(_KINDS[name], self.reported_amount, self.reported_currency, object_, self.dispute_id or "")


@dataclass(frozen=True, slots=True)
class EarlierDecision:
    """A decision that was made before."""

    keep: Keep
    decided_at: datetime
    namespace: str
    payment_id: str


@dataclass(slots=True)
class Decision:
    """The effects of a decision. All are empty if somebody else decided first."""

    decided: list[OpenConflict] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    """Keys of transfers that were reversed and booked again as reported."""
    booked: list[str] = field(default_factory=list)
    """Keys of transfers that were booked for the first time."""
    released: int = 0
    """Facts that no longer wait for a decision, booked or not."""
    open: list[int] = field(default_factory=list)
    """Conflicts of the payment that still need a decision."""


class AmbiguousError(Exception):
    """Several answers are possible, so nothing was decided. The text says why."""


async def list_conflicts(connection: Connection, *, limit: int, after: int = 0) -> tuple[int, list[ConflictSummary]]:
    """Return how many are open, and the oldest `limit` of those with a number above `after`."""
    total = await connection.fetchval(CONFLICTS["count_open_conflicts"])
    rows = await connection.fetch(*CONFLICTS.bind("list_open_conflicts", limit=limit, after=after))
    return total, [ConflictSummary(**row) for row in rows]


async def find_open_conflicts(connection: Connection, id_text: str) -> list[ConflictMatch]:
    """Return the open conflicts with this number or payment id. A matching number wins."""
    rows = await connection.fetch(*CONFLICTS.bind("find_open_conflicts", wanted=id_text))
    found = [ConflictMatch(**row) for row in rows]
    return [conflict for conflict in found if str(conflict.id) == id_text] or found


async def find_decision(connection: Connection, id_text: str) -> EarlierDecision | None:
    """Return the decision about the conflict with this number, or None."""
    row = await connection.fetchrow(*CONFLICTS.bind("find_decision", wanted=id_text))
    return EarlierDecision(*row) if row else None


async def decide(
    connection: Connection, handlers: Handlers, matches: Sequence[ConflictMatch], keep: Keep, *, timeout_s: float,
    act: Act,
) -> Decision:  # fmt: skip
    """Store a decision about open conflicts of one payment and book its effects, in one transaction.

    After the payment's last conflict the facts that waited for it are booked too. Handlers are called for every
    transfer booked for the first time, each with the limit `timeout_s`. Raise AmbiguousError, HandlerFailed or
    UnreachableError; nothing is decided then.
    """
    decision = Decision()
    if not matches:
        return decision
    namespace, payment_id = matches[0].namespace, matches[0].payment_id
    if any((each.namespace, each.payment_id) != (namespace, payment_id) for each in matches):
        raise AmbiguousError("they are about payments of several namespaces")
    try:
        async with exclusive_transaction(connection, [namespace], [payment_id]):
            await decide_in_transaction(connection, handlers, matches, keep, decision, timeout_s)
            if decision.decided:
                await _record(connection, act, matches[0], keep, decision)
    except HandlerFailed as error:
        if error.connection_lost:
            raise connection_lost(error) from error
        raise
    return decision


async def _record(connection: Connection, act: Act, match: ConflictMatch, keep: Keep, decision: Decision) -> None:
    details = {
        "keep": keep,
        "conflicts": [conflict.id for conflict in decision.decided],
        "corrected": decision.corrected,
        "booked": decision.booked,
        "released": decision.released,
        "open": decision.open,
    }
    subject = f"payment:{match.namespace}/{match.payment_id}"
    await record(connection, act, action="resolve", subject=subject, touched=len(decision.decided), details=details)


async def decide_in_transaction(
    connection: Connection, handlers: Handlers, matches: Sequence[ConflictMatch], keep: Keep, decision: Decision,
    timeout_s: float,
) -> None:  # fmt: skip
    """Decide within a transaction that holds the payment's lock, and fill in `decision`."""
    namespace, payment_id = matches[0].namespace, matches[0].payment_id
    rows = await connection.fetch(*CONFLICTS.bind("read_open_conflicts", ids=[each.id for each in matches]))
    decision.decided = [OpenConflict(**row) for row in rows]
    if not decision.decided:
        return
    _require_one_answer(payment_id, decision.decided, keep)
    happened = await _store_and_book(connection, namespace, payment_id, decision, keep)
    await recompute_payments(connection, [namespace], [payment_id])
    if not await _list_still_open(connection, namespace, payment_id):
        happened += await _book_waiting(connection, namespace, payment_id, decision)
    decision.open = await _list_still_open(connection, namespace, payment_id)
    await recompute_payments(connection, [namespace], [payment_id])
    await recompute_disputes(connection, [namespace], [payment_id])
    await handlers.notify(connection, happened, timeout_s)


def _require_one_answer(payment_id: str, conflicts: Sequence[OpenConflict], keep: Keep) -> None:
    if keep == "booked":
        return
    for conflict in conflicts:
        if conflict.booked_for not in (None, payment_id):
            raise AmbiguousError(
                f"{conflict.movement} is booked for payment {conflict.booked_for}, so only what is booked can be kept"
            )
    keys = [conflict.movement for conflict in conflicts]
    if several := {key for key in keys if keys.count(key) > 1}:
        raise AmbiguousError(f"several amounts were reported for {', '.join(sorted(several))}")


async def _correct_reversal(
    connection: Connection, namespace: str, payment_id: str, conflict: OpenConflict
) -> str | None:  # fmt: skip
    """Correct the booked reversal of a transfer that was just decided, by a decided conflict of its own.

    Return its key, or None without one.
    """
    found = await connection.fetchrow(
        *CONFLICTS.bind("find_reversal_to_correct", namespace=namespace, payment_id=payment_id, id=conflict.id)
    )
    if found is None:
        return None
    number = await connection.fetchval(
        *CONFLICTS.bind(
            "open_conflict",
            namespace=namespace,
            payment_id=payment_id,
            transfer_key=found["movement"],
            booked_amount=found["amount"],
            booked_currency=found["currency"],
            reported_amount=found["right_amount"],
            reported_currency=found["right_currency"],
            debit_account=found["debit_account"],
            credit_account=found["credit_account"],
            event_id=found["event_id"],
            dispute_id=None,
        )
    )
    if number is None:
        return None
    await connection.execute(*CONFLICTS.bind("book_reported", id=number))
    await connection.execute(*CONFLICTS.bind("decide_conflict", id=number, decision="reported"))
    return str(found["movement"])


async def _store_and_book(
    connection: Connection, namespace: str, payment_id: str, decision: Decision, keep: Keep
) -> list[EventFact]:  # fmt: skip
    """Book what is right and store the decision. Return the facts booked for the first time."""
    first: list[OpenConflict] = []
    for conflict in decision.decided:
        if keep == "reported" and not conflict.is_currency_only:
            is_first = await connection.fetchval(*CONFLICTS.bind("book_reported", id=conflict.id))
            (decision.booked if is_first else decision.corrected).append(conflict.movement)
            first += [conflict] if is_first else []
        await connection.execute(*CONFLICTS.bind("decide_conflict", id=conflict.id, decision=keep))
        if reversal := await _correct_reversal(connection, namespace, payment_id, conflict):
            decision.corrected.append(reversal)
    kept = await read_applied_events(connection, [(namespace, conflict.event_id) for conflict in first])
    return [(kept[namespace, conflict.event_id], conflict.fact) for conflict in first]


async def _list_still_open(connection: Connection, namespace: str, payment_id: str) -> list[int]:
    query = CONFLICTS.bind("find_open_conflicts_of_payment", namespace=namespace, payment_id=payment_id)
    return [row["id"] for row in await connection.fetch(*query)]


async def _book_waiting(
    connection: Connection, namespace: str, payment_id: str, decision: Decision
) -> list[EventFact]:  # fmt: skip
    """Book the facts that waited for the decision, as if they were reported now. Return those that were booked.

    A fact that contradicts what is booked now opens a new conflict, and the rest waits for that one.
    """
    held = await connection.fetch(*CONFLICTS.bind("release_waiting", namespace=namespace, payment_id=payment_id))
    kept = await read_applied_events(connection, [(namespace, row["event_id"]) for row in held])
    outcome = Outcome()
    for batch in partition_conflicting(_payment_update(kept[namespace, row["event_id"]], row) for row in held):
        await book(connection, batch, TRANSFER_RULES.keys(), outcome)
    decision.released = len(held) - outcome.held_back.total()
    decision.booked += [f"{TRANSFER_RULES[fact.kind].name}:{fact.object}" for _, fact in outcome.happened]
    return outcome.happened


def _payment_update(event: Event, held: "asyncpg.Record[Any]") -> PaymentUpdate:
    """Rebuild the transfer that was held back. The event's other facts were merged when it arrived."""
    return PaymentUpdate(
        event,
        held["currency"],
        fact=Fact(held["kind"], held["amount"], held["currency"], held["object"], held["dispute_id"] or ""),
        transfer_key=held["movement"],
        transfer_amount=held["amount"],
        adds_to=TRANSFER_RULES[held["kind"]].adds_to,
        debit_account=held["debit_account"],
        credit_account=held["credit_account"],
        dispute_id=held["dispute_id"],
        of_dispute=held["kind"] in DISPUTE_KINDS,
    )
