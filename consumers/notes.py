"""The note in Redis about an entry that waits: why, how many of its attempts failed, and the last error."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

TRACEBACK_CHARS_MAX = 4000
"""How much of a traceback a note keeps: its end, where the error is."""

WaitingKind = Literal["retry", "infrastructure"]
"""Why an entry waits: its own failure, which counts as an attempt, or an outage or conflict, which does not."""


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


def write_note(past: Past, attempt: int, kind: WaitingKind, reason: str, wait_s: float, since: datetime | None) -> str:
    """Return a note in JSON. `attempt`: the one it is about. `since`: the start of an outage."""
    now = datetime.now(UTC)
    return json.dumps(
        {
            "kind": kind,
            "reason": _sound(reason),
            "at": now.isoformat(),
            "retry_at": (now + timedelta(seconds=wait_s)).isoformat(),
            "since": since.isoformat() if since else None,
            "attempt": attempt,
            "failed": past.failed,
            "deaths": past.deaths,
            "died_last": past.died_last,
            "error": _sound(past.error),
            "traceback": _sound(past.traceback),
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


def _sound(text: str) -> str:
    """Return the text without lone surrogates, which other readers of JSON refuse."""
    return text.encode(errors="backslashreplace").decode()
