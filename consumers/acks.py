"""What follows a commit: the acknowledgement in Redis, and the counts."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from consumers.entry import Entry, Unreadable
from consumers.handlers import Outcome
from consumers.in_flight import InFlight
from consumers.locks import Locks
from consumers.observers import Observers
from consumers.restore_watch import RestoreWatch
from consumers.retry import INFRASTRUCTURE, describe
from consumers.settings import Settings
from consumers.stream import Stream
from runtime.tracing import trace_id_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CommitResult:
    """The result of one transaction.

    `applied`: entries whose event it applied. `duplicates`: entries whose event was applied before. `dead`: entries
    that are already in the dead letters, because another worker put them there before this one could acknowledge them.
    `server` is the server that committed, by its start.
    """

    applied: list[Entry] = field(default_factory=list)
    duplicates: list[Entry] = field(default_factory=list)
    dead: list[Entry] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    server: datetime | None = None

    @property
    def entries(self) -> list[Entry]:
        """All entries of the transaction."""
        return [*self.applied, *self.duplicates, *self.dead]


class Acks:
    """Acknowledges entries whose fate is committed in Postgres: applied, a duplicate, or dead."""

    def __init__(
        self, stream: Stream, locks: Locks, in_flight: InFlight, settings: Settings, observers: Observers,
        watch: RestoreWatch,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._locks = locks
        self._in_flight = in_flight
        self._settings = settings
        self._observers = observers
        self._watch = watch

    async def ack_committed(self, committed: CommitResult, locks: Sequence[str] = ()) -> None:
        """Acknowledge a commit and release its locks. Raises an error of INFRASTRUCTURE.

        If it fails nothing is lost: the entries are read again, and recognised as applied.
        """
        self._count(committed)
        entries = [*committed.applied, *committed.duplicates]
        try:
            if committed.applied:
                await self._watch.verify(committed.server)
            await self._watch.acknowledge(
                entries, committed.applied[-1].event if committed.applied else None, locks, self._locks.token
            )
            for entry in committed.dead:
                await self.ack_dead_lettered(entry)
        except INFRASTRUCTURE as error:
            log.warning("applied but not acknowledged; the entries will be read again and skipped",
                        entries=len(entries), error=describe(error))  # fmt: skip
            if self._observers.spans.is_on:
                self._observers.spans.failed(committed.entries, "not acknowledged", error)
            raise
        if self._observers.spans.is_on:
            self._observers.spans.acked(
                {"applied": committed.applied, "duplicate": committed.duplicates, "dead": committed.dead}
            )
        if self._settings.event_log:
            _log_events("event applied", committed.applied)
            _log_events("event was applied before", committed.duplicates)
        self._observers.hooks("acked")

    async def ack_dead_lettered(self, entry: Entry | Unreadable) -> None:
        """Acknowledge an entry that is in the dead letters. Raises RedisError."""
        await self._stream.ack_dead_lettered(entry)
        self._in_flight.remove([entry])

    def _count(self, committed: CommitResult) -> None:
        self._observers.progress.made("a commit")
        metrics = self._observers.metrics
        now_s = time.time()
        since_accepted_s: dict[str, list[float]] = defaultdict(list)
        for entry in committed.applied:
            since_accepted_s[entry.event.source].append(now_s - entry.event.received_at.timestamp())
        for source, durations_s in since_accepted_s.items():
            metrics.applied(source, len(durations_s))
            metrics.durations.accepted_to_committed(source, durations_s)
        metrics.durations.flush()
        for source, count in Counter(entry.event.source for entry in committed.duplicates).items():
            metrics.duplicates(source, count)
        for source, count in committed.outcome.held_back.items():
            metrics.held_back(source, count)
        for source, count in committed.outcome.incomplete.items():
            metrics.incomplete(source, count)
        for source, count in committed.outcome.other_mode.items():
            metrics.other_mode(source, count)
            log.warning("events of the other mode than their source's are recorded only; they move no money, and no "
                        "handler is called (set the source's mode if it is wrong)",
                        source=source, events=count)  # fmt: skip
        for source, count in committed.outcome.conflicts.items():
            metrics.conflicts(source, count)
            log.error("events contradict each other about money; nothing is overwritten, and that payment's money "
                      "stops until somebody decides (make resolve)", source=source, conflicts=count)  # fmt: skip


def _log_events(what: str, entries: Sequence[Entry]) -> None:
    """Log one line for each event, with the time since the gateway received it. No body, and no header."""
    now = datetime.now(UTC)
    for entry in entries:
        event = entry.event
        log.info(
            what, source=event.source, event_id=event.event_id, entry_id=entry.entry_id, attempt=entry.attempt,
            trace_id=trace_id_of(event.headers), seconds=round((now - event.received_at).total_seconds(), 6),
        )  # fmt: skip
