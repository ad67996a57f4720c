"""Acting on dead letters: putting their entries into the stream again, or giving them up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from contract.keys import COMMITTED, Keys
from operations.redis_server import is_flushed
from sql import load

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

LETTERS_AT_ONCE = 50
"""Dead letters read at a time: each holds a whole entry, which may be as large as the gateway's body limit."""

DEAD_LETTERS = load("dead_letters")

_REPLAY = (Path(__file__).parent / "lua" / "replay.lua").read_text()


class Outcome(StrEnum):
    """What became of one dead letter."""

    ADDED = "added"
    COMMITTED = "committed"
    WAITING = "waiting"
    IN_HAND = "in hand"
    UNPROVEN = "in the stream, not proven to be on disk"
    CLOSED_BEFORE = "closed before"
    DISCARDED = "discarded"


OPEN_AFTER = frozenset({Outcome.IN_HAND, Outcome.UNPROVEN})
"""Where the letter had to stay open."""

_IN_STREAM = frozenset({Outcome.ADDED, Outcome.WAITING})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One open dead letter. `namespace` and `event_id` are None where its entry was not an envelope."""

    id: int
    entry_id: str
    namespace: str | None
    event_id: str | None
    source: str | None
    type: str | None
    resource: str | None
    reason: str
    traceback: str
    attempts: int
    died_at: datetime
    fields: tuple[bytes, ...]

    @property
    def event(self) -> str:
        """What to call it."""
        return f"{self.namespace}/{self.event_id}" if self.namespace and self.event_id else "(not an envelope)"


@dataclass(frozen=True, slots=True)
class Result:
    """What was done with one letter; `entry_id` is the entry that carries its event now, where one does."""

    letter_id: int
    event: str
    outcome: Outcome
    entry_id: str | None = None


async def find(connection: "Connection", wanted: str) -> list[DeadLetter]:
    """The open letters meant by a letter's number, an entry id or an event id; a letter's own number comes first."""
    rows = await connection.fetch(DEAD_LETTERS["find_dead_letters"], wanted, 0, LETTERS_AT_ONCE)
    letters = [_letter(row) for row in rows]
    return [letter for letter in letters if str(letter.id) == wanted] or letters


async def all_open(connection: "Connection") -> AsyncIterator[DeadLetter]:
    """Every open letter, the oldest first, in pages."""
    after = 0
    while rows := await connection.fetch(DEAD_LETTERS["find_dead_letters"], None, after, LETTERS_AT_ONCE):
        for row in rows:
            yield _letter(row)
        after = rows[-1]["id"]


async def replay(redis: Redis, keys: Keys, connection: "Connection", letter: DeadLetter, *, seen_ttl_s: int) -> Result:
    """Puts the letter's entry into the stream again, unless its event is there or committed, and closes the letter.

    A crash at any point leaves the letter open, or the event's marker in Redis: replaying again adds nothing twice. The
    letter is closed only once the stream is known to hold the event on disk; a worker that applies it closes it too.
    """
    async with connection.transaction():
        if await connection.fetchval(DEAD_LETTERS["hold_dead_letter"], letter.id) is None:
            return Result(letter.id, letter.event, Outcome.CLOSED_BEFORE)
        async with redis.client() as one_connection:
            outcome, entry_id = await _add_again(one_connection, keys, letter, seen_ttl_s)
            if outcome in _IN_STREAM and not await is_flushed(one_connection):
                outcome = Outcome.UNPROVEN
        if outcome not in OPEN_AFTER:
            await connection.execute(*DEAD_LETTERS.bind("close_dead_letter", id=letter.id, state="replayed"))
    return Result(letter.id, letter.event, outcome, entry_id)


async def discard(connection: "Connection", letter: DeadLetter) -> Result:
    """Gives the event up: it will not be applied unless its provider sends it again."""
    closed = await connection.fetchval(*DEAD_LETTERS.bind("close_dead_letter", id=letter.id, state="discarded"))
    return Result(letter.id, letter.event, Outcome.CLOSED_BEFORE if closed is None else Outcome.DISCARDED)


async def _add_again(redis: Redis, keys: Keys, letter: DeadLetter, seen_ttl_s: int) -> tuple[Outcome, str | None]:
    names = [keys.events, keys.epoch]
    if letter.namespace and letter.event_id:
        names.append(keys.seen(letter.namespace, letter.event_id))
    arguments: list[str | bytes | int] = [letter.entry_id, COMMITTED, seen_ttl_s, *letter.fields]
    outcome, entry_id = await redis.register_script(_REPLAY)(keys=names, args=arguments, client=redis)
    return Outcome(outcome.decode()), entry_id.decode() or None


def _letter(row: "asyncpg.Record[Any]") -> DeadLetter:
    values = dict(row)
    pairs = zip(values.pop("field_names"), values.pop("field_values"), strict=True)
    return DeadLetter(**values, fields=tuple(part for pair in pairs for part in pair))
