"""Notices that Redis or Postgres was restored from an older copy, by what each must know of the other.

Postgres must have the events whose commits were acknowledged in Redis, one for each worker. A worker looks for them
regularly, and before it acknowledges its first commit in a server that was started anew: such an ack replaces the
proof. Redis must have the beat that Postgres keeps, and the marker of the event that a worker acknowledged last.
docs/decisions/0018-restored-servers.md
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from redis.exceptions import ResponseError

from consumers.entry import Entry
from consumers.lease import Lease
from consumers.metrics import Metrics
from consumers.restored import ENTRIES_WERE_DELETED, POSTGRES_WAS_RESTORED, REDIS_WAS_RESTORED, AccountState
from consumers.retry import INFRASTRUCTURE, describe, outage_cause
from consumers.settings import Settings
from consumers.stream import Stream
from contract.event import Event
from contract.keys import NUMBERS_OF_PARTITION
from sql import load

RESTORES = load("restores")

BEAT_PAUSE_MS = 4000
"""The pause between two beats of all workers together. A beat is on Redis' disk before Postgres keeps it."""

SAME_RESTORE_S = 30
"""Workers that find their own proofs of a restore within this time have found the same one."""

NEWEST_PAGES = 256
"""Pages of each table in which the highest entry id is looked for: 2 MiB."""

log = structlog.get_logger()


class ServerReplacedError(OSError):
    """The server that committed has been replaced, and may have lost the commit: the entries are to be read again."""


class StandbyError(OSError):
    """Postgres is a standby now, which may be behind: what it lacks proves nothing."""


class RestoreWatch:
    """One worker's view of both servers. `verify` and `acknowledge` raise errors of INFRASTRUCTURE; `look` does not."""

    def __init__(
        self, stream: Stream, pool: "asyncpg.Pool[Any]", lease: Lease, settings: Settings, metrics: Metrics
    ) -> None:
        self._stream = stream
        self._name = stream.keys.stream_name
        self._pool = pool
        self._lease = lease
        self._settings = settings
        self._metrics = metrics
        self._server: datetime | None = None
        self._restores = 0
        self._unrecorded = 0
        self._epoch = ""
        self._asked_for_epoch = False
        self._last: Event | None = None
        self._last_at_s = 0.0

    async def look(self) -> None:
        """Compare both servers now. An outage is left to the next batch, which meets it too."""
        self._asked_for_epoch = False
        try:
            await self._compare()
        except INFRASTRUCTURE as error:
            # An outage is logged by the batches; work goes on without this right, but no restore would be noticed.
            is_refused = isinstance(error, ResponseError | asyncpg.InsufficientPrivilegeError)
            report = log.warning if is_refused else log.info
            report("Redis and Postgres cannot be compared now; it is tried again", reason=describe(outage_cause(error)))

    async def verify(self, server: datetime | None) -> None:
        """Compare both servers if the one that committed is not the one that was compared last.

        Raises ServerReplacedError if it is not there any more.
        """
        if server != self._server:
            await self._compare()
        if server != self._server and self._server is not None:
            raise ServerReplacedError("Postgres was replaced after a commit; its entries are read again")

    async def acknowledge(
        self, entries: Sequence[Entry], applied: Event | None, locks: Sequence[str], token: str
    ) -> None:
        """Acknowledge a commit, and look whether Redis still knows the last one."""
        ttl_s = self._settings.committed_ttl_s
        if applied and not self._epoch and not self._asked_for_epoch:  # Postgres must know the stream from now on
            self._asked_for_epoch = True
            await self._compare()
        is_expected = self._last is not None and time.monotonic() - self._last_at_s < ttl_s / 2
        knows_last = await self._stream.ack_committed(
            entries, ttl_s, locks, token, consumer=self._lease.consumer, applied=applied, restores=self._restores,
            last=self._last if is_expected else None,
        )  # fmt: skip
        if not knows_last and self._last:
            event = self._last
            await self._redis_was_restored(f"the marker of {event.namespace}/{event.event_id} is gone")
        if applied:
            self._last, self._last_at_s = applied, time.monotonic()

    async def _compare(self) -> None:
        """Ask Postgres first what Redis must know, then Redis what Postgres must have."""
        async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
            try:
                known = await connection.fetchrow(*RESTORES.bind("read_watch", key_prefix=self._name))
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
                log.warning("restores of Redis and Postgres are not noticed: `python -m sql migrate` is due")
                return
            if known["is_standby"]:
                raise StandbyError("Postgres is a standby, which may be behind")
            state = await self._stream.keep_account(
                self._lease.consumer, known["beat"], BEAT_PAUSE_MS, known["epoch"]
            )  # fmt: skip
            missing = await _find_missing(connection, state.applied)
            if state.confirmed_beat >= 0:
                await connection.execute(*RESTORES.bind("keep_beat", key_prefix=self._name, beat=state.confirmed_beat))
        self._server, self._restores, self._epoch = known["server"], state.restores, state.epoch
        if state.deleted:
            self._metrics.gone(state.deleted)
            log.critical(ENTRIES_WERE_DELETED, entries=state.deleted)
        if missing or state.restores != known["restores"]:
            await self._commits_were_lost(state, known["restores"], missing)
        if state.is_older:
            await self._redis_was_restored(f"its beat is lower than {known['beat']}, which Postgres has seen")
        if state.note:
            await self._redis_was_restored(f"a gateway was confirmed entry {state.note.replace(' ', '; it ends at ')}")
            await self._stream.forget_note()
        if state.epoch != known["epoch"]:
            await self._stream_was_replaced(known["epoch"], state.epoch)

    async def _commits_were_lost(self, state: AccountState, recorded: int, missing: Mapping[str, str]) -> None:
        """Let markers of earlier commits count no more, and record it. Only one worker does so."""
        if not missing and state.restores > recorded and state.restores != self._unrecorded:
            self._unrecorded = state.restores  # the worker that counted it may be about to record it
            return
        number = max(state.restores, recorded) + 1
        if not await self._stream.count_restore(state.restores, number, missing):
            return
        self._restores = number
        if not missing and state.restores < recorded:
            await self._redis_was_restored(f"it counted {state.restores} restores of Postgres, not {recorded}", number)
            return
        proof = f"it lacks {', '.join(sorted(set(missing.values())))}" if missing else (
            f"it has recorded {recorded} restores, not {state.restores}"
        )  # fmt: skip
        await self._record("postgres", proof, number)
        log.critical(POSTGRES_WAS_RESTORED, proof=proof)

    async def _stream_was_replaced(self, known: str, epoch: str) -> None:
        """Record that the stream that Postgres knew is gone, with what waited in it; keep the epoch of this one."""
        if known:
            present = f"its stream begins with entry {epoch}" if epoch else "its stream is new"
            await self._redis_was_restored(f"{present}; Postgres has seen one that began with entry {known}")
        keep = RESTORES.bind("keep_epoch", key_prefix=self._name, epoch=epoch, known=known)
        async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
            await connection.execute(*keep)

    async def _redis_was_restored(self, proof: str, number: int | None = None) -> None:
        if not await self._record("redis", proof, number):
            return
        log.critical(REDIS_WAS_RESTORED, proof=proof)
        async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
            highest = await connection.fetchval(
                *RESTORES.bind(
                    "find_highest_entry_id", pages=NEWEST_PAGES, partition=self._stream.keys.partition,
                    numbers_of_partition=NUMBERS_OF_PARTITION,
                )
            )  # fmt: skip
        if highest and await self._stream.move_forward(highest):
            log.warning("the stream continues after the highest entry that Postgres knows", entry_id=highest)

    async def _record(self, server: str, proof: str, number: int | None) -> bool:
        """Record a restore for `make audit`. Return False if another worker has just done so."""
        record = RESTORES.bind(
            "record_restore", key_prefix=self._name, server=server, noticed_by=self._lease.consumer,
            proof=proof, number=number, same_within_s=SAME_RESTORE_S,
        )  # fmt: skip
        async with self._pool.acquire(timeout=self._settings.acquire_timeout_s) as connection:
            is_new = await connection.fetchval(*record) is not None
        if is_new:
            self._metrics.restored(server)
        return is_new


async def _find_missing(connection: Any, applied: Mapping[str, str]) -> dict[str, str]:  # noqa: ANN401 - asyncpg's
    """Return those consumers whose acknowledged event Postgres lacks, with the event."""
    if not applied:
        return {}
    split = {event: event.partition(":")[::2] for event in applied.values()}
    query = RESTORES.bind(
        "find_missing_events",
        namespace=[namespace for namespace, _ in split.values()],
        event_id=[event_id for _, event_id in split.values()],
    )
    lost = {(row["namespace"], row["event_id"]) for row in await connection.fetch(*query)}
    return {consumer: event for consumer, event in applied.items() if split[event] in lost}
