"""Acts on everything that a query matches: counted first, up to a limit, and recorded with who and why.

What was selected is what is acted on: dead letters that come later, and match as well, are left alone.

    selection = await select_dead_letters(connection, query)
    async for result in replay_selected(servers, selection, act=act): …
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations.dead_letters import (
    DEAD_LETTERS_AT_ONCE,
    DeadLetterOutcome,
    DeadLetterResult,
    discard,
    read_open,
    replay,
)
from operations.held_back import Release, release_events, require_trust
from operations.log import Act, ActError, Action, record
from operations.payment_acts import Posting
from operations.search import Query, QueryError, Status
from operations.search.postgres import BEGINNING, SEARCH, parameters
from operations.search.row import END_OF_TIME
from operations.servers import LONG_TIMEOUT_S, Servers

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

NOT_RECORDED = frozenset({DeadLetterOutcome.CLOSED_BEFORE, DeadLetterOutcome.NOT_ACKED_YET})
"""Outcomes that changed nothing."""

BULK_MAX = 1000
"""The most dead letters or events of one bulk act."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The open dead letters that a query matches, by number, the oldest first."""

    query: str
    ids: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.ids)

    @property
    def up_to(self) -> int:
        """The newest of them; 0 if there is nothing."""
        return max(self.ids, default=0)

    def among(self, shown: Collection[int]) -> "Selection":
        """Return those of them that a person was shown."""
        return Selection(self.query, tuple(id_ for id_ in self.ids if id_ in shown))


@dataclass(frozen=True, slots=True)
class HeldSelection:
    """The events with unsigned facts on hold that a query matches, the oldest first."""

    query: str
    rows: "Sequence[asyncpg.Record[Any]]"

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.rows)

    @property
    def sources(self) -> list[str]:
        """The names of their sources."""
        return sorted({row["source"] for row in self.rows})


async def select_dead_letters(connection: "Connection", query: Query, *, up_to: int | None = None) -> Selection:
    """Return the open dead letters that a query matches, up to a number that was shown before.

    Raise QueryError if it matches more than BULK_MAX, nothing in particular, or other things than open dead letters.
    """
    _check(query, Status.DEAD, "open dead letters")
    rows = await _select(connection, "select_dead_letters", query, up_to=up_to)
    return Selection(query.text, tuple(row["id"] for row in rows))


async def select_held(connection: "Connection", query: Query) -> HeldSelection:
    """Return the events with unsigned facts on hold that a query matches. Raise QueryError as above."""
    _check(query, Status.HELD, "facts on hold")
    return HeldSelection(query.text, await _select(connection, "select_unsigned", query))


async def replay_selected(servers: Servers, selection: Selection, *, act: Act) -> AsyncIterator[DeadLetterResult]:
    """Replay each of them, and yield its outcome. Raise ActError without a reason, and UnreachableError."""
    _require_reason(act)
    outcomes: Counter[str] = Counter()
    async with servers.redis() as redis, servers.postgres(LONG_TIMEOUT_S) as connection:
        for ids in _parts(selection.ids):
            dead_letters = {each.id: each for each in await read_open(connection, ids)}
            for id_ in ids:
                result = _closed_before(id_)
                if dead_letter := dead_letters.get(id_):
                    seen_ttl_s = servers.settings.seen_ttl_s
                    result = await replay(redis, servers.keys, connection, dead_letter, seen_ttl_s=seen_ttl_s, act=act)
                outcomes[result.outcome.value] += 1
                yield result
        await _record(connection, act, "replay by query", selection, outcomes)


async def discard_selected(servers: Servers, selection: Selection, *, act: Act) -> AsyncIterator[DeadLetterResult]:
    """Discard each of them, and yield its outcome. Raise ActError without a reason, and UnreachableError."""
    _require_reason(act)
    outcomes: Counter[str] = Counter()
    async with servers.postgres(LONG_TIMEOUT_S) as connection:
        for ids in _parts(selection.ids):
            dead_letters = {each.id: each for each in await read_open(connection, ids)}
            for id_ in ids:
                dead_letter = dead_letters.get(id_)
                result = await discard(connection, dead_letter, act=act) if dead_letter else _closed_before(id_)
                outcomes[result.outcome.value] += 1
                yield result
        await _record(connection, act, "discard by query", selection, outcomes)


async def release_selected(servers: Servers, posting: Posting, selection: HeldSelection, *, act: Act) -> Release:
    """Book their unsigned facts. An event that fails stays on hold and does not stop the others.

    Raise ActError without a reason, UntrustedSourceError before anything is done if one of their sources is not
    trusted, and UnreachableError.
    """
    _require_reason(act)
    for source in selection.sources:
        require_trust(posting, source)
    total = Release()
    for source in selection.sources:
        rows = [row for row in selection.rows if row["source"] == source]
        total.add(await release_events(servers, posting, source, rows, act=act))
    if selection.rows:
        details = {"query": selection.query, "released": total.released, "failed": len(total.failed)}
        async with servers.postgres() as connection, connection.transaction(isolation="read_committed"):
            await record(
                connection, act, action="release by query", subject="held_back", touched=total.released, details=details
            )
    return total


def _check(query: Query, status: Status, what: str) -> None:
    if query.has_status and query.statuses != {status}:
        raise QueryError(f"Only {what} can be acted on: leave status: out, or write status:{status}.")
    if not query.text:
        raise QueryError(f"The query is empty; if all {what} are meant, write status:{status}.")


async def _select(
    connection: "Connection", name: str, query: Query, **values: object
) -> "Sequence[asyncpg.Record[Any]]":  # fmt: skip
    every = parameters(query) | values
    every |= {"since": query.since or BEGINNING, "before": query.until or END_OF_TIME, "limit": BULK_MAX + 1}
    needed = {parameter: every[parameter] for parameter in SEARCH.describe(name).parameters}
    rows: Sequence[asyncpg.Record[Any]] = await connection.fetch(*SEARCH.bind(name, **needed))
    if len(rows) > BULK_MAX:
        raise QueryError(f"The query matches more than {BULK_MAX}, the most for one act: narrow it, as with since:1h.")
    return rows


def _require_reason(act: Act) -> None:
    if not act.reason.strip():
        raise ActError("An act on several at once needs a reason")


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + DEAD_LETTERS_AT_ONCE] for start in range(0, len(ids), DEAD_LETTERS_AT_ONCE)]


def _closed_before(id_: int) -> DeadLetterResult:
    return DeadLetterResult(id_, "", DeadLetterOutcome.CLOSED_BEFORE)


async def _record(
    connection: "Connection", act: Act, action: Action, selection: Selection, outcomes: Counter[str]
) -> None:  # fmt: skip
    """Record the act as a whole, if it is about several. Each has its own row, in its own transaction."""
    if selection.count < 2:
        return
    details = {"query": selection.query, "first": selection.ids[0], "last": selection.up_to, "outcomes": dict(outcomes)}
    async with connection.transaction(isolation="read_committed"):
        touched = selection.count - sum(outcomes[each.value] for each in NOT_RECORDED)
        await record(connection, act, action=action, subject="dead_letters", touched=touched, details=details)
