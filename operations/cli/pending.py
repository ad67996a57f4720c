"""Pending entries, dead letters and the audit, as a tired person reads them and as a script does."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from consumers.entry import Entry
from operations.dead_letters import OPEN_AFTER, DeadLetter, Outcome, Result
from operations.pending import Waiting, WaitingPage
from operations.stream_accounting import Sums
from operations.units import duration, printable

REASON_SHOWN_CHARS = 200
"""How much of a dead letter's reason a table shows; `dead ID` shows all of it."""


def print_pending(console: Console, page: WaitingPage) -> None:
    """One row per pending entry, the oldest first; or that nothing is pending, and what is."""
    group, stream = page.stats.group, page.stats.stream
    if page.waiting:
        table = Table("entry, age", "event", "held by", "why it waits", title="Pending", title_justify="left")
        for waiting in page.waiting:
            table.add_row(*_pending_row(waiting))
        console.print(table)
    if group and group.pending > len(page.waiting):
        console.print(f"… and {group.pending - len(page.waiting)} more; --limit shows more of them.")
    if not page.waiting:
        console.print("Nothing is pending.")
    if stream and stream.length and group is None:
        console.print(f"{stream.length} entries wait, and no worker has ever read this stream: is one running?")
    if group and group.lag:
        about = "about " if group.lag_is_estimated else ""
        console.print(f"{about}{group.lag} entries in the stream were not read by any worker yet.")


def pending_json(page: WaitingPage) -> dict[str, Any]:
    """What `pending --json` prints; times in seconds."""
    group = page.stats.group
    return {
        "pending": group.pending if group else 0,
        "unread": group.lag if group else page.stats.stream.length if page.stats.stream else 0,
        "entries": [_waiting_json(waiting) for waiting in page.waiting],
    }


def print_dead(console: Console, letters: Sequence[Mapping[str, Any]], total: int) -> None:
    """One row per open dead letter, the oldest first."""
    if not letters:
        console.print("No dead letters are open.")
        return
    table = Table("ID", "died", "event", "attempts", "reason", title="Dead letters", title_justify="left")
    for letter in letters:
        table.add_row(str(letter["id"]), f"{letter['died_at']:%Y-%m-%d %H:%M:%S}", _letter_event(letter),
                      str(letter["attempts"]), printable(letter["reason"])[:REASON_SHOWN_CHARS])  # fmt: skip
    console.print(table)
    if total > len(letters):
        console.print(f"… and {total - len(letters)} more; --limit shows more of them.")
    console.print("One in full: dead ID. Into the stream again: replay ID. Given up: discard ID.")


def print_letter(console: Console, letter: DeadLetter) -> None:
    """One dead letter with its traceback."""
    console.print(f"Dead letter {letter.id}: {letter.event}, type {letter.type}, resource {letter.resource}")
    console.print(f"entry {letter.entry_id} of source {letter.source}, died {letter.died_at:%Y-%m-%d %H:%M:%S %Z}")
    console.print(f"after {letter.attempts} attempts: {printable(letter.reason)}\n")
    console.print(printable(letter.traceback))


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for a script: without its entry, whose body may be personal."""
    names = ("id", "entry_id", "namespace", "event_id", "source", "type", "resource", "reason", "traceback",
             "attempts", "died_at")  # fmt: skip
    return {name: getattr(letter, name) for name in names}


def result_sentence(result: Result) -> str:
    """What happened to one letter, and what comes of it."""
    what = f"Dead letter {result.letter_id} ({result.event})"
    match result.outcome:
        case Outcome.ADDED:
            return f"{what} is in the stream again, as entry {result.entry_id}."
        case Outcome.COMMITTED:
            return f"{what} was committed from another entry already: nothing was added, the letter is closed."
        case Outcome.WAITING:
            return f"{what} is in the stream already, as entry {result.entry_id}: nothing was added, it is closed."
        case Outcome.IN_HAND:
            return f"{what} is still being put away by a worker: nothing was done; replay it in a moment."
        case Outcome.UNPROVEN:
            return (
                f"{what} is in the stream, as entry {result.entry_id}, but this Redis could not prove that it is "
                "on disk: the letter stays open until a worker has applied it."
            )
        case Outcome.CLOSED_BEFORE:
            return f"{what} was closed by somebody else meanwhile: nothing was done."
        case Outcome.DISCARDED:
            return f"{what} is discarded: it will not be applied unless its provider sends it again."


def result_json(result: Result) -> dict[str, Any]:
    """The same for a script."""
    return {
        "id": result.letter_id,
        "event": result.event,
        "outcome": result.outcome.value,
        "entry_id": result.entry_id,
        "open": result.outcome in OPEN_AFTER,
    }


def sums_sentence(sums: Sums | None) -> str:
    """The two sides of the account."""
    if sums is None:
        return "There is no stream to account for."
    sign = "=" if sums.agree else "is not"
    return (
        f"{sums.added} entries were added to this stream, which {sign} {sums.recorded} recorded in Postgres + "
        f"{sums.waiting} waiting."
    )


def _pending_row(waiting: Waiting) -> tuple[str, str, str, str]:
    pending = waiting.pending
    if isinstance(pending.entry, Entry):
        event = pending.entry.event
        described = f"{event.namespace}/{event.event_id}\n{event.type}\n{event.resource}"
    else:
        described = "gone" if pending.entry is None else "not an envelope"
    held = f"{pending.consumer}\nidle {duration(pending.idle_ms)}\n{pending.deliveries} deliveries"
    return f"{pending.entry_id}\n{duration(waiting.age_ms)} old", described, held, waiting.why


def _waiting_json(waiting: Waiting) -> dict[str, Any]:
    pending = waiting.pending
    event = pending.entry.event if isinstance(pending.entry, Entry) else None
    return {
        "entry_id": pending.entry_id,
        "age_s": waiting.age_ms / 1000,
        "namespace": event.namespace if event else None,
        "event_id": event.event_id if event else None,
        "source": event.source if event else None,
        "type": event.type if event else None,
        "resource": event.resource if event else None,
        "consumer": pending.consumer,
        "consumer_lives": pending.consumer_lives,
        "idle_s": pending.idle_ms / 1000,
        "deliveries": pending.deliveries,
        "why": waiting.why,
    }


def _letter_event(letter: Mapping[str, Any]) -> str:
    if letter["event_id"] is None:
        return f"not an envelope\n{letter['entry_id']}"
    return f"{letter['namespace']}/{letter['event_id']}\n{letter['type']}\n{letter['resource']}"
