"""The note in Redis about an entry that waits: why, how many of its attempts failed, and the last error."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

TRACEBACK_CHARS_MAX = 4000
"""How much of a traceback a note keeps: its end, where the error is."""

WaitingKind = Literal["retry", "infrastructure", "running"]
"""Why an entry waits: its own failure, which counts as an attempt; an outage or conflict, which does not; or an attempt
that takes long, with a reason that goes on with `for 12 s`."""


@dataclass(frozen=True, slots=True)
class Past:
    """The attempts of an entry that have failed and count.

    `failed`: how many. `deaths`: how many of them ended with their worker. `died_last`: whether the last one did.
    `error` and `traceback`: those of the last one that ended with an error.
    """

    failed: int = 0
    deaths: int = 0
    died_last: bool = False
    error: str = ""
    traceback: str = field(default="", repr=False)

    def with_error(self, attempt: int, error: str, traceback: str) -> "Past":
        """Return the past after one more attempt that ended with an error."""
        return Past(attempt, self.deaths, died_last=False, error=error, traceback=traceback[-TRACEBACK_CHARS_MAX:])

    def with_death(self, attempt: int) -> "Past":
        """Return the past after one more attempt whose worker died."""
        return Past(attempt, self.deaths + 1, died_last=True, error=self.error, traceback=self.traceback)


NO_PAST = Past()


@dataclass(frozen=True, slots=True)
class Note:
    """What a reclaimed entry's note says to its next owner: its past, why it is tried alone, and not before when."""

    past: Past = NO_PAST
    alone: str = ""
    retry_at: datetime | None = None

    @property
    def wait_s(self) -> float:
        """The time until the next attempt is due."""
        return max(0.0, (self.retry_at - datetime.now(UTC)).total_seconds()) if self.retry_at else 0.0


def write_note(
    past: Past, attempt: int, kind: WaitingKind, reason: str, wait_s: float | None, since: datetime | None,
    alone: str = "",
) -> str:  # fmt: skip
    """Return a note in JSON. `attempt`: the one it is about. `wait_s`: until the next one; None while it runs.

    `since`: the start of an outage, or of a running attempt. `alone`: why it is tried alone.
    """
    now = datetime.now(UTC)
    return json.dumps(
        {
            "kind": kind,
            "reason": _sound(reason),
            "at": now.isoformat(),
            "retry_at": None if wait_s is None else (now + timedelta(seconds=wait_s)).isoformat(),
            "since": since.isoformat() if since else None,
            "attempt": attempt,
            "failed": past.failed,
            "deaths": past.deaths,
            "died_last": past.died_last,
            "error": _sound(past.error),
            "traceback": _sound(past.traceback),
            "alone": _sound(alone),
        }
    )


def read_past(note: bytes) -> Past:
    """Return the past that a note records. Never raises: an unreadable note records none.

    A note of version 0.2.0 has the attempt only, and the reason as its error.
    """
    try:
        read: dict[str, Any] = json.loads(note)
        attempt = int(read["attempt"])
        counts = read["kind"] == "retry"
        return Past(
            failed=int(read.get("failed", attempt if counts else max(0, attempt - 1))),
            deaths=int(read.get("deaths", 0)),
            died_last=bool(read.get("died_last", False)),
            error=str(read.get("error", read["reason"] if counts else "")),
            traceback=str(read.get("traceback", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return NO_PAST


def read_note(note: bytes) -> Note:
    """Return what a note says. Never raises: an unreadable one says nothing."""
    past = read_past(note)
    try:
        read: dict[str, Any] = json.loads(note)
        alone = str(read.get("alone", ""))
        return Note(past, alone, datetime.fromisoformat(read["retry_at"]) if alone and read["retry_at"] else None)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Note(past)


def _sound(text: str) -> str:
    """Return the text without lone surrogates, which other readers of JSON refuse."""
    return text.encode(errors="backslashreplace").decode()
