"""The state of an event and, if it is stuck, the reason and the next step. Pure: the caller has read everything."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from contract.keys import is_committed
from contract.money import format_amount
from operations.pending_reason import REASON_CHARS_SHOWN, STRANDED, WorkerLimits, pending_reason
from operations.reconcile.store import Finding
from operations.units import count, printable
from operations.why.confirmation import ON_HOLD
from operations.why.model import (
    ConflictRecord,
    DeadLetterRecord,
    EventDetails,
    HeldBackFact,
    PaymentDetails,
    SearchResult,
    StreamEntry,
)

EventState = Literal[
    "applied", "unacknowledged", "waiting", "unread", "dead", "discarded", "replayed", "lost", "missing", "unknown"
]

STUCK: frozenset[EventState] = frozenset({"waiting", "unread", "dead", "lost", "missing"})
"""States that wait for time or for a person. The others are final, or unknown."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The state of an event, and a sentence about it. `next` is a person's next step, None if waiting is enough."""

    state: EventState
    sentence: str
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Stuck:
    """An event or a payment's money that waits, why it waits, and a person's next step."""

    about: str
    why: str
    next: str | None
    conflict: int | None = None
    """The open conflict that stops it."""
    release: str | None = None
    """The source whose unsigned facts would have to be released."""


def diagnose(event: EventDetails, result: SearchResult, limits: WorkerLimits, now: datetime) -> Diagnosis:
    """Return the state of an event."""
    if event.applied:
        return _applied(event)
    if event.in_stream:
        return _in_stream(event.in_stream[-1], result, limits, now)
    if event.dead_letters:
        return _dead_letter(event.dead_letters[-1])
    if result.postgres_problem:
        return _by_marker_alone(event)
    if event.marker and is_committed(event.marker.encode()):
        return Diagnosis(
            "lost",
            "Redis says that it was committed, but Postgres does not have it: was the database restored from an old "
            "backup?",
            "make audit; have its provider send it again",
        )
    if event.marker:
        return Diagnosis(
            "lost",
            f"accepted as entry {event.marker}, which is neither in the stream nor recorded: it was deleted, or has "
            "just been applied",
            "ask again; if it stays so: make audit, and have its provider send it again",
        )
    if missing := _found_missing(event):
        return _missing(missing)
    return Diagnosis("unknown", "Postgres refers to it, but has neither its row nor its entry")


def _found_missing(event: EventDetails) -> Finding | None:
    """Return what was found when the provider listed it and it was unknown here; None if it never was."""
    return next((finding for finding in reversed(event.findings) if finding.kind == "missing"), None)


def _missing(finding: Finding) -> Diagnosis:
    if finding.repaired_at:
        return Diagnosis(
            "lost",
            f"the provider lists it, and it never arrived; repaired at {_at(finding.repaired_at)} as "
            f"entry {finding.entry_id}, which is neither in the stream nor recorded",
            f"make reconcile SOURCE={finding.source} SINCE={_before(finding)} REPAIR=1",
        )
    if finding.resolved_at:
        return Diagnosis(
            "unknown",
            f"the provider listed it, and it never arrived; since {_at(finding.resolved_at)} it is not "
            "missing any more, and nothing is recorded of it",
        )
    return Diagnosis(
        "missing",
        f"the provider lists it; it never arrived (found {_at(finding.found_at)})",
        f"make reconcile SOURCE={finding.source} SINCE={_before(finding)} REPAIR=1",
    )


def _before(finding: Finding) -> str:
    """Return a time from which a comparison finds the event."""
    at = finding.occurred_at or finding.found_at
    return f"{at - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}" if at else "24h"


def _at(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else "an unknown time"


def find_stuck_money(payment: PaymentDetails, only_events: AbstractSet[str] | None = None) -> list[Stuck]:
    """Return the open conflicts of a payment, and its unsigned facts on hold, of `only_events` if given."""
    stuck = [
        Stuck(str(payment.subject), _conflict_sentence(conflict),
              f"make resolve ID={conflict.id} KEEP=booked, or KEEP=reported", conflict=conflict.id)
        for conflict in payment.conflicts
        if conflict.decision is None
    ]  # fmt: skip
    unsigned = [
        fact
        for fact in payment.held_back
        if fact.reason == "unsigned"
        and fact.released_at is None
        and (only_events is None or fact.event_id in only_events)
    ]
    groups: dict[tuple[str, str], list[HeldBackFact]] = {}
    for fact in unsigned:
        groups.setdefault((fact.source, fact.confirmation or ""), []).append(fact)
    stuck.extend(
        _stuck_unsigned(payment, source, confirmation, facts)
        for (source, confirmation), facts in sorted(groups.items())
    )
    return stuck


def _applied(event: EventDetails) -> Diagnosis:
    if event.in_stream:
        return Diagnosis(
            "unacknowledged",
            "applied; its entry is still in the stream, and will be read again and skipped",
        )
    if event.applied and event.applied.is_of_other_mode:
        mode, source = event.applied.mode, event.applied.source
        return Diagnosis(
            "applied",
            f"recorded only: it is a {mode} event, and source {source} is not of that mode: it moved no money, and no "
            "handler was called",
            f'if the source is meant for them: mode = "{mode}" below [{source}] in sources.toml, for later events',
        )
    if event.applied and event.applied.origin != "delivery":
        missing = _found_missing(event)
        repaired = f"; repaired at {_at(missing.repaired_at)}" if missing and missing.repaired_at else ""
        return Diagnosis("applied", f"applied: the provider lists it, and it never arrived{repaired}")
    return Diagnosis("applied", "applied")


def _in_stream(entry: StreamEntry, result: SearchResult, limits: WorkerLimits, now: datetime) -> Diagnosis:
    step = None if result.workers else "no worker runs: make consumers N=2"
    if entry.pending:
        return Diagnosis("waiting", pending_reason(entry.pending, limits, now) + _postgres_is_down(result), step)
    if entry.has_left:
        return Diagnosis("waiting", "it was read and has just been acked", "ask again")
    if entry.is_delivered:
        return Diagnosis("waiting", STRANDED, step)
    unread, outage = f"in the stream, and not read by any worker yet ({result.unread} such entries)", result.outage
    if result.workers and outage and outage.retry_at and outage.retry_at > now:
        since = f" since {outage.since:%Y-%m-%d %H:%M:%S} UTC" if outage.since else ""
        reason = printable(outage.reason)[:REASON_CHARS_SHOWN]
        return Diagnosis("unread", f"{unread}: the workers wait for Redis or Postgres{since}: {reason}")
    if not result.workers:
        return Diagnosis("unread", f"{unread}: no worker runs{_postgres_is_down(result)}", "make consumers N=2")
    return Diagnosis(
        "unread", f"{unread}: {result.workers} workers read them in their order{_postgres_is_down(result)}"
    )


def _postgres_is_down(result: SearchResult) -> str:
    return "; Postgres does not answer now, and nothing is applied until it does" if result.postgres_problem else ""


def _dead_letter(dead_letter: DeadLetterRecord) -> Diagnosis:
    number, reason = dead_letter.id, printable(dead_letter.reason)[:REASON_CHARS_SHOWN]
    if dead_letter.state == "open":
        return Diagnosis(
            "dead",
            f"in the dead letters as number {number}, after {count(dead_letter.attempts, 'attempt')}: {reason}",
            f"once the cause is gone: make replay ID={number}; to give it up: make discard ID={number}",
        )
    if dead_letter.state == "discarded":
        return Diagnosis("discarded", f"discarded by a person, as dead letter {number}: {reason}")
    return Diagnosis(
        "replayed",
        f"dead letter {number} was added to the stream again; its entry was not found in the part of the stream that "
        "was searched, and is not recorded",
    )


def _by_marker_alone(event: EventDetails) -> Diagnosis:
    if event.marker and is_committed(event.marker.encode()):
        return Diagnosis("applied", "applied, as its marker in Redis says; Postgres was not asked")
    return Diagnosis("unknown", "not in the stream; Postgres, which records what happened to it, was not asked")


def _conflict_sentence(conflict: ConflictRecord) -> str:
    booked = "nothing is booked"
    if conflict.booked_amount is not None and conflict.booked_currency is not None:
        booked = f"{format_amount(conflict.booked_amount, conflict.booked_currency)} is booked"
    reported = format_amount(conflict.reported_amount, conflict.reported_currency)
    about = f"of {conflict.movement} {booked}, and {conflict.event_id} reports {reported}"
    return f"money stopped by conflict {conflict.id}: {about}"


def _stuck_unsigned(payment: PaymentDetails, source: str, confirmation: str, facts: list[HeldBackFact]) -> Stuck:
    listed = ", ".join(f"{fact.kind} {format_amount(fact.amount, fact.currency)}" for fact in facts)
    if confirmation in ON_HOLD:
        why, step = ON_HOLD[confirmation]
        return Stuck(str(payment.subject), f"held back {why}: {listed}", step)
    return Stuck(
        str(payment.subject),
        f"held back, because the signature of source {source} does not cover these facts: {listed}",
        f'if they can be trusted: trust = "all" below [{source}] in sources.toml, then make release SOURCE={source}',
        release=source,
    )
