"""What becomes of contradictions once a person decides, and of what was held back. Asked by the commands alone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import asyncpg
from pydantic import ValidationError

from consumers.handlers import HandlerFailed, Handlers, Reject, Retry
from consumers.handlers.payments import Payments, book
from consumers.retry import describe
from consumers.store import read_kept
from contract.event import Event
from contract.facts import Fact, Kind
from ledger.outcome import Outcome
from ledger.transfers import MOVES, Row, lots_of
from sql import load
from sql.connect import Connection

CONFLICTS = load("conflicts")
EVENTS = load("events")
PAYMENTS = load("payments")

Keep = Literal["booked", "told"]
"""What is right: what was booked, so that the telling is dismissed; or what was told."""

EVENTS_AT_ONCE = 50
"""Events of one page of a release: each may hold a body as large as the gateway's body limit."""

_KINDS: dict[str, Kind] = {move.name: kind for kind, move in MOVES.items()}
_ACKNOWLEDGED = "currency"
"""What a conflict's movement is called where two currencies were told and no movement: nothing can be booked for it."""

Happened = list[tuple[Event, Fact]]


@dataclass(frozen=True, slots=True)
class Meant:
    """One open conflict that an operator means."""

    id: int
    namespace: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """One open conflict, read where nobody else can decide about it."""

    id: int
    movement: str
    told_amount: int
    told_currency: str
    event_id: str
    booked_for: str | None
    """The payment for which the movement is booked, None where it is not."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether there is nothing to book, whatever the decision."""
        return self.movement.partition(":")[0] == _ACKNOWLEDGED

    @property
    def fact(self) -> Fact:
        """What was told."""
        name, _, object_ = self.movement.partition(":")
        return Fact(_KINDS[name], self.told_amount, self.told_currency, object_)


@dataclass(slots=True)
class Decision:
    """What a decision brought about; nothing where `decided` is empty, because somebody else was faster."""

    decided: list[Conflict] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    """Movements whose booking was undone, and what was told booked beside it."""
    booked: list[str] = field(default_factory=list)
    """Movements that are booked now for the first time."""
    released: int = 0
    """Movements that do not wait any more, booked or not."""
    open: list[int] = field(default_factory=list)
    """Conflicts of the payment that somebody still has to decide about."""


class AmbiguousError(Exception):
    """Several things are right at once, so that nothing was decided. The text says what to name instead."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page of a release begins: behind this event."""

    held_at: datetime
    namespace: str
    event_id: str


@dataclass(slots=True)
class Page:
    """What came of one page; `failed` are events that stay held back, and why."""

    released: int = 0
    """Events."""
    booked: int = 0
    """Movements; the rest was booked before, moves nothing, or is a part of a contradiction."""
    conflicts: int = 0
    """Contradictions that were found meanwhile."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    next: Cursor | None = None
    """None: this was the last page."""

    def add(self, page: "Page") -> None:
        """Sums up."""
        self.released += page.released
        self.booked += page.booked
        self.conflicts += page.conflicts
        self.failed += page.failed


async def find(connection: Connection, wanted: str) -> list[Meant]:
    """The open conflicts meant by a number or a payment's id; a number comes first."""
    found = [Meant(**row) for row in await connection.fetch(CONFLICTS["find_open_conflicts"], wanted)]
    return [conflict for conflict in found if str(conflict.id) == wanted] or found


async def decide(
    connection: Connection, handlers: Handlers, meant: Sequence[Meant], keep: Keep, *, timeout_s: float
) -> Decision:
    """Writes and books the decision about open conflicts of one payment, all or nothing; with the last one, what waited
    for it is released, and handlers are told of every movement that is booked now. `timeout_s` is for each of them.

    Raises AmbiguousError, and HandlerFailed; nothing is decided then.
    """
    decision = Decision()
    if not meant:
        return decision
    namespace, payment_id = meant[0].namespace, meant[0].payment_id
    if any((each.namespace, each.payment_id) != (namespace, payment_id) for each in meant):
        raise AmbiguousError("they are about payments of several namespaces")
    async with _alone_with(connection, [namespace], [payment_id]):
        rows = await connection.fetch(CONFLICTS["read_open_conflicts"], [each.id for each in meant])
        decision.decided = [Conflict(**row) for row in rows]
        if not decision.decided:
            return decision
        _check(payment_id, decision.decided, keep)
        happened = await _write(connection, namespace, decision, keep)
        if not await _still_open(connection, namespace, payment_id):
            happened += await _release(connection, namespace, payment_id, decision)
        decision.open = await _still_open(connection, namespace, payment_id)
        await connection.execute(PAYMENTS["restate_payments"], [namespace], [payment_id])
        await handlers.tell(connection, happened, timeout_s)
    return decision


def _check(payment_id: str, conflicts: Sequence[Conflict], keep: Keep) -> None:
    for conflict in conflicts:
        if keep == "told" and conflict.booked_for not in (None, payment_id):
            raise AmbiguousError(
                f"{conflict.movement} is booked for payment {conflict.booked_for}: only that can be kept"
            )
    movements = [conflict.movement for conflict in conflicts]
    if keep == "told" and (several := {name for name in movements if movements.count(name) > 1}):
        raise AmbiguousError(f"several things were told of {', '.join(sorted(several))}")


async def _write(connection: Connection, namespace: str, decision: Decision, keep: Keep) -> Happened:
    """Books what is right, and writes down who decided what. Returns what is booked for the first time."""
    first: list[Conflict] = []
    for conflict in decision.decided:
        if keep == "told" and not conflict.is_acknowledged:
            is_first = await connection.fetchval(CONFLICTS["book_told"], conflict.id)
            (decision.booked if is_first else decision.corrected).append(conflict.movement)
            first += [conflict] if is_first else []
        await connection.execute(*CONFLICTS.bind("decide_conflict", id=conflict.id, decision=keep))
    kept = await read_kept(connection, [(namespace, conflict.event_id) for conflict in first])
    return [(kept[namespace, conflict.event_id], conflict.fact) for conflict in first]


async def _still_open(connection: Connection, namespace: str, payment_id: str) -> list[int]:
    return [row[0] for row in await connection.fetch(CONFLICTS["find_still_open"], namespace, payment_id)]


async def _release(connection: Connection, namespace: str, payment_id: str, decision: Decision) -> Happened:
    """Books what waited as if it was told now: what contradicts is a new conflict, behind which the rest waits again.

    Returns what was booked.
    """
    held = await connection.fetch(CONFLICTS["release_waiting"], namespace, payment_id)
    kept = await read_kept(connection, [(namespace, row["event_id"]) for row in held])
    outcome = Outcome()
    for lot in lots_of(_row(kept[namespace, row["event_id"]], row) for row in held):
        await book(connection, lot, MOVES.keys(), outcome)
    decision.released = len(held) - outcome.held_back.total()
    decision.booked += [f"{MOVES[fact.kind].name}:{fact.object}" for _, fact in outcome.happened]
    return outcome.happened


def _row(event: Event, held: "asyncpg.Record[Any]") -> Row:
    """A movement that waited, as it was when it was told; what else its event told was joined then."""
    return Row(
        event,
        held["currency"],
        fact=Fact(held["kind"], held["amount"], held["currency"], held["object"]),
        movement=held["movement"],
        stakes=MOVES[held["kind"]].stakes,
        debit=held["debit_account"],
        credit=held["credit_account"],
    )


async def release_page(
    connection: Connection, handlers: Handlers, payments: Payments, source: str, after: Cursor | None, *,
    timeout_s: float,
) -> Page:  # fmt: skip
    """Applies anew one page of a trusted source's events that were held back as unsigned: together, or, where one of
    them fails, each alone. Handlers are told of every fact that becomes true by it.
    """
    place = (after.held_at, after.namespace, after.event_id) if after else (None, None, None)
    rows = await connection.fetch(CONFLICTS["list_unsigned"], source, *place, EVENTS_AT_ONCE)
    page = Page()
    if len(rows) == EVENTS_AT_ONCE:
        page.next = Cursor(rows[-1]["held_at"], rows[-1]["namespace"], rows[-1]["event_id"])
    batches = [rows] if rows else []
    while batches:
        batch = batches.pop()
        try:
            events, outcome = await _release_unsigned(connection, handlers, payments, batch, timeout_s)
        except (HandlerFailed, Reject, ValidationError) as error:
            if isinstance(error, HandlerFailed) and error.connection_lost:
                raise
            if len(batch) > 1:
                batches += [[row] for row in reversed(batch)]
            else:
                page.failed.append((batch[0]["event_id"], reason_of(error)))
        else:
            page.released += events
            page.booked += sum(fact.kind in MOVES for _, fact in outcome.happened)
            page.conflicts += outcome.conflicts.total()
    return page


async def _release_unsigned(
    connection: Connection, handlers: Handlers, payments: Payments, batch: "Sequence[asyncpg.Record[Any]]",
    timeout_s: float,
) -> tuple[int, Outcome]:  # fmt: skip
    """One transaction. Returns how many events were released, and what came of it."""
    namespaces, event_ids = [row["namespace"] for row in batch], [row["event_id"] for row in batch]
    async with _alone_with(connection, namespaces, [row["payment_id"] for row in batch]):
        ours = {tuple(row) for row in await connection.fetch(CONFLICTS["release_unsigned"], namespaces, event_ids)}
        kept = await read_kept(connection, [name for name in zip(namespaces, event_ids, strict=True) if name in ours])
        if not all(event.body for event in kept.values()):
            raise Reject("its payload is not kept any more, so that it cannot be read again")
        outcome = await payments(connection, list(kept.values()), handlers.wanted | MOVES.keys())
        await handlers.tell(connection, outcome.happened, timeout_s)
    return len(kept), outcome


def reason_of(error: HandlerFailed | Reject | ValidationError) -> str:
    """In one line, for whoever is on call, without the data it was about."""
    if isinstance(error, HandlerFailed):
        cause = error.__cause__ or error
        return f"a handler failed: {cause if isinstance(cause, Reject | Retry) else describe(cause)}".rstrip(".")
    return (str(error) if isinstance(error, Reject) else describe(error)).rstrip(".")


@asynccontextmanager
async def _alone_with(
    connection: Connection, namespaces: Sequence[str], payments: Sequence[str]
) -> AsyncIterator[None]:
    """A transaction that no worker and nobody else works beside on these payments."""
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(EVENTS["lock_resources"], namespaces, payments)
        yield
