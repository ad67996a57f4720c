"""Facts on hold: count them, and release those that were held back because no signature covers them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import ValidationError

from consumers.booking import book_events
from consumers.handlers import HandlerFailed, Handlers, Reject
from consumers.handlers.payments import Payments
from consumers.store import read_applied_events
from contract.accounts import PostingRules
from ledger.outcome import Outcome
from ledger.transfers import TRANSFER_RULES
from operations.log import Act, record
from operations.payment_acts import Posting, connection_lost, exclusive_transaction, failure_reason
from operations.servers import LONG_TIMEOUT_S, Servers
from sql import load
from sql.connect import Connection

CONFIRMATIONS = load("confirmations")
CONFLICTS = load("conflicts")
EVENTS = load("events")

EVENTS_AT_ONCE = 50
"""Events of one page of a release. Each may have a body as large as the gateway's body limit."""


@dataclass(frozen=True, slots=True)
class HeldBackCount:
    """Facts of one source on hold for one reason: `conflict` or `unsigned`."""

    source: str
    reason: str
    facts: int


@dataclass(frozen=True, slots=True)
class OtherModeCount:
    """Events of one source that are of the other mode, such as test events of a live source: they moved no money."""

    source: str
    mode: str
    events: int
    last_recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ReleaseCursor:
    """The last event of a page; the next page begins after it."""

    held_at: datetime
    namespace: str
    event_id: str


@dataclass(slots=True)
class Release:
    """The effects of a release, of one page or in total."""

    released: int = 0
    """Events."""
    booked: int = 0
    """Transfers. The other facts move no money, were booked before, or are part of a conflict."""
    conflicts: int = 0
    """Conflicts found while booking."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Events that stay on hold, each with the reason."""
    next: ReleaseCursor | None = None
    """None after the last page."""

    def add(self, page: "Release") -> None:
        """Add the effects of a page and take over its cursor."""
        self.released += page.released
        self.booked += page.booked
        self.conflicts += page.conflicts
        self.failed += page.failed
        self.next = page.next


class UntrustedSourceError(Exception):
    """The source's settings do not allow its unsigned facts to move money. `known`: the names in the sources file."""

    def __init__(self, source: str, known: Iterable[str]) -> None:
        super().__init__(source)
        self.source = source
        self.known = sorted(known)


async def count_held_back(connection: Connection) -> list[HeldBackCount]:
    """Return the number of facts on hold, by source and reason."""
    return [HeldBackCount(**row) for row in await connection.fetch(CONFLICTS["count_held_back"])]


async def count_other_mode(connection: Connection) -> list[OtherModeCount]:
    """Return the number of events of the other mode than their source's, by source."""
    return [OtherModeCount(**row) for row in await connection.fetch(EVENTS["count_other_mode"])]


async def count_unsigned(connection: Connection, source: str) -> int:
    """Return how many events of a source are on hold as unsigned: what `release_source` would touch."""
    number: int = await connection.fetchval(*CONFLICTS.bind("count_unsigned", source=source))
    return number


async def list_unsigned(
    connection: Connection, source: str, after: ReleaseCursor | None = None
) -> "Sequence[asyncpg.Record[Any]]":
    """Return one page of a source's events on hold as unsigned, the oldest first: namespace, event id, payment id."""
    query = CONFLICTS.bind(
        "list_unsigned",
        source=source,
        after_held_at=after.held_at if after else None,
        after_namespace=after.namespace if after else None,
        after_event_id=after.event_id if after else None,
        limit=EVENTS_AT_ONCE,
    )
    rows: Sequence[asyncpg.Record[Any]] = await connection.fetch(*query)
    return rows


async def release_source(servers: Servers, posting: Posting, source: str, *, act: Act) -> Release:
    """Apply all events of a source that were held back as unsigned, page by page, each page on its own connection.

    An event that fails stays on hold and does not stop the others. Raise UntrustedSourceError and UnreachableError.
    """
    require_trust(posting, source)
    payments, total, is_first = Payments(posting.rules), Release(), True
    while is_first or total.next:
        async with servers.postgres(LONG_TIMEOUT_S) as connection:
            page = await _release_page(
                connection, posting.handlers, payments, source, total.next, servers.settings.handler_timeout_s, act
            )
        total.add(page)
        is_first = False
    return total


async def release_events(
    servers: Servers, posting: Posting, source: str, rows: "Sequence[asyncpg.Record[Any]]", *, act: Act
) -> Release:
    """Apply these events of one source, each with its namespace, event id and payment id, as `release_source` does."""
    require_trust(posting, source)
    payments, total = Payments(posting.rules), Release()
    for start in range(0, len(rows), EVENTS_AT_ONCE):
        part, timeout_s = rows[start : start + EVENTS_AT_ONCE], servers.settings.handler_timeout_s
        async with servers.postgres(LONG_TIMEOUT_S) as connection:
            total.add(await _release_rows(connection, posting.handlers, payments, source, part, timeout_s, act))
    return total


def is_trusted(rules: Mapping[str, PostingRules], source: str) -> bool:
    """Return whether the unsigned facts of a source may move money."""
    return rules.get(source, PostingRules()).trust == "all"


def require_trust(posting: Posting, source: str) -> None:
    """Raise UntrustedSourceError if the unsigned facts of a source may not move money."""
    if not is_trusted(posting.rules, source):
        raise UntrustedSourceError(source, posting.rules)


async def _release_page(
    connection: Connection, handlers: Handlers, payments: Payments, source: str, after: ReleaseCursor | None,
    timeout_s: float, act: Act,
) -> Release:  # fmt: skip
    """Apply one page of a source's events."""
    rows = await list_unsigned(connection, source, after)
    page = await _release_rows(connection, handlers, payments, source, rows, timeout_s, act)
    if len(rows) == EVENTS_AT_ONCE:
        page.next = ReleaseCursor(rows[-1]["held_at"], rows[-1]["namespace"], rows[-1]["event_id"])
    return page


async def _release_rows(
    connection: Connection, handlers: Handlers, payments: Payments, source: str,
    rows: "Sequence[asyncpg.Record[Any]]", timeout_s: float, act: Act,
) -> Release:  # fmt: skip
    """Apply these events in one transaction or, if one of them fails, each in its own."""
    page = Release()
    batches = [rows] if rows else []
    while batches:
        batch = batches.pop()
        try:
            events, outcome = await _release_batch(connection, handlers, payments, source, batch, timeout_s, act)
        except (HandlerFailed, Reject, ValidationError) as error:
            if isinstance(error, HandlerFailed) and error.connection_lost:
                raise connection_lost(error) from error
            if len(batch) > 1:
                batches += [[row] for row in reversed(batch)]
            else:
                page.failed.append((batch[0]["event_id"], failure_reason(error)))
        else:
            page.released += events
            page.booked += _count_booked(outcome)
            page.conflicts += outcome.conflicts.total()
    return page


async def _release_batch(
    connection: Connection, handlers: Handlers, payments: Payments, source: str,
    batch: "Sequence[asyncpg.Record[Any]]", timeout_s: float, act: Act,
) -> tuple[int, Outcome]:  # fmt: skip
    """Release a batch in one transaction. Return how many events were released, and the outcome of booking them."""
    namespaces = [row["namespace"] for row in batch]
    async with exclusive_transaction(connection, namespaces, [row["payment_id"] for row in batch]):
        released, outcome = await apply_release(connection, handlers, payments, batch, timeout_s)
        if released:
            await _record(connection, act, source, released, outcome)
    return len(released), outcome


async def apply_release(
    connection: Connection, handlers: Handlers, payments: Payments, batch: "Sequence[asyncpg.Record[Any]]",
    timeout_s: float,
) -> tuple[list[tuple[str, str]], Outcome]:  # fmt: skip
    """Release a batch within a transaction that holds its payments' locks.

    Return the namespace and id of each event that was released, and the outcome of booking them. Raise HandlerFailed,
    Reject or ValidationError.
    """
    columns = {name: [row[name] for row in batch] for name in ("namespace", "event_id")}
    await _refuse_unconfirmed(connection, columns)
    ours = {tuple(row) for row in await connection.fetch(*CONFLICTS.bind("release_unsigned", **columns))}
    names = [(row["namespace"], row["event_id"]) for row in batch]
    kept = await read_applied_events(connection, [name for name in names if name in ours])
    outcome = await book_events(connection, handlers, payments, list(kept.values()), timeout_s)
    return sorted(kept), outcome


_REFUSED = {
    "disagrees": "its provider's API was asked, and says something else (make why)",
    "not_found": "its provider's API was asked, and knows no such object",
}
"""Why an event is not released, however its source is trusted now."""


async def _refuse_unconfirmed(connection: Connection, columns: Mapping[str, list[str]]) -> None:
    """Raise Reject if their provider's API does not confirm these events. Nobody asks about the others any more."""
    if refused := await connection.fetchrow(*CONFIRMATIONS.bind("find_refused", **columns)):
        raise Reject(_REFUSED[refused["state"]])
    await connection.execute(*CONFIRMATIONS.bind("release", **columns))


def _count_booked(outcome: Outcome) -> int:
    return sum(fact.kind in TRANSFER_RULES for _, fact in outcome.happened)


async def _record(
    connection: Connection, act: Act, source: str, events: Sequence[tuple[str, str]], outcome: Outcome
) -> None:  # fmt: skip
    details = {
        "events": [f"{namespace}/{event_id}" for namespace, event_id in events],
        "booked": _count_booked(outcome),
        "conflicts": outcome.conflicts.total(),
    }
    await record(connection, act, action="release", subject=f"source:{source}", touched=len(events), details=details)
