"""Where an event stands and, where it is stuck, the reason and the next step. Pure: all was read before."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contract.keys import COMMITTED
from contract.money import written
from operations.pending_reason import REASON_CHARS_MAX, Limits
from operations.pending_reason import why as why_pending
from operations.units import duration, printable
from operations.why.model import Conflict, EventFound, Found, HeldBack, Letter, PaymentFound, Waiting

Standing = Literal["applied", "unacknowledged", "waiting", "unread", "dead", "discarded", "replayed", "lost", "unknown"]

STUCK: frozenset[Standing] = frozenset({"waiting", "unread", "dead", "lost"})
"""Where time or a person has to do something; the others are done, or cannot be told."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where an event stands, in a sentence; `next` is what a person can do, None where waiting is enough."""

    standing: Standing
    sentence: str
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Stuck:
    """What waits: an event, or a payment's money."""

    about: str
    why: str
    next: str | None


def judge(event: EventFound, found: Found, limits: Limits, now: datetime) -> Verdict:
    """Where it stands."""
    if event.applied:
        return _applied(event)
    if event.waiting:
        return _waiting(event.waiting[-1], found, limits, now)
    if event.letters:
        return _letter(event.letters[-1])
    if found.postgres:
        return _of_marker_alone(event)
    if event.marker == COMMITTED.decode():
        return Verdict("lost", "Redis says that it was committed, and Postgres does not know it: was the database "
                               "restored from an old copy?", "make audit; have its provider send it again")  # fmt: skip
    if event.marker:
        return Verdict(
            "lost",
            f"accepted as entry {event.marker}, which is neither in the stream nor recorded: it was deleted, or has "
            "just been applied",
            "ask again; if it stays so: make audit, and have its provider send it again",
        )
    return Verdict("unknown", "Postgres names it, and has neither its row nor its entry")


def look_at_money(payment: PaymentFound, only_of: AbstractSet[str] | None = None) -> list[Stuck]:
    """What of a payment's money is stopped or held back; of some events only, where not the payment was asked for."""
    open_ones = [conflict for conflict in payment.conflicts if conflict.decision is None]
    stuck = [
        Stuck(str(payment.subject), _contradiction(each), f"make resolve ID={each.id} KEEP=booked, or KEEP=told")
        for each in open_ones
    ]
    unsigned = [
        fact for fact in payment.held_back
        if fact.reason == "unsigned" and fact.released_at is None and (only_of is None or fact.event_id in only_of)
    ]  # fmt: skip
    stuck.extend(
        _unsigned(payment, source, [fact for fact in unsigned if fact.source == source])
        for source in sorted({fact.source for fact in unsigned})
    )
    return stuck


def _applied(event: EventFound) -> Verdict:
    if event.waiting:
        return Verdict(
            "unacknowledged",
            "applied; its entry is still in the stream, and will be read again and skipped",
        )
    return Verdict("applied", "applied")


def _waiting(waiting: Waiting, found: Found, limits: Limits, now: datetime) -> Verdict:
    if waiting.pending:
        is_stuck_worker = waiting.pending.consumer_lives is False and not found.workers
        step = "no worker runs: make consumers N=2" if is_stuck_worker else None
        return Verdict("waiting", why_pending(waiting.pending, limits, now) + _down(found), step)
    if waiting.is_delivered:
        return Verdict("waiting", "it was read and has just been settled", "ask again")
    before = f"in the stream, and not read by any worker yet ({found.unread} such entries)"
    if found.outage and found.outage.retry_at and found.outage.retry_at > now:
        since = f" since {found.outage.since:%Y-%m-%d %H:%M:%S} UTC" if found.outage.since else ""
        reason = printable(found.outage.reason)[:REASON_CHARS_MAX]
        return Verdict("unread", f"{before}: the workers wait for Redis or Postgres{since}: {reason}")
    if not found.workers:
        return Verdict("unread", f"{before}: no worker runs{_down(found)}", "make consumers N=2")
    return Verdict("unread", f"{before}: {found.workers} workers read them in their order{_down(found)}")


def _down(found: Found) -> str:
    return "; Postgres does not answer now, and nothing is applied until it does" if found.postgres else ""


def _letter(letter: Letter) -> Verdict:
    reason = printable(letter.reason)[:REASON_CHARS_MAX]
    if letter.state == "open":
        return Verdict(
            "dead",
            f"in the dead letters as number {letter.id}, after {letter.attempts} attempts: {reason}",
            f"once the cause is gone: make replay ID={letter.id}; to give it up: make discard ID={letter.id}",
        )
    if letter.state == "discarded":
        return Verdict("discarded", f"given up by a person, as dead letter {letter.id}: {reason}")
    return Verdict(
        "replayed",
        f"dead letter {letter.id} was put into the stream again; its entry is not in what could be looked at, and "
        "not recorded",
    )


def _of_marker_alone(event: EventFound) -> Verdict:
    if event.marker == COMMITTED.decode():
        return Verdict("applied", "applied, as its marker in Redis says; Postgres was not asked")
    return Verdict("unknown", "not in the stream; Postgres, which would know what became of it, was not asked")


def _contradiction(conflict: Conflict) -> str:
    booked = "nothing is booked"
    if conflict.booked_amount is not None and conflict.booked_currency is not None:
        booked = f"{written(conflict.booked_amount, conflict.booked_currency)} is booked"
    told = written(conflict.told_amount, conflict.told_currency)
    about = f"of {conflict.movement} {booked}, and {conflict.event_id} tells {told}"
    return f"money stopped by conflict {conflict.id}: {about}"


def _unsigned(payment: PaymentFound, source: str, facts: list[HeldBack]) -> Stuck:
    told = ", ".join(f"{fact.kind} {written(fact.amount, fact.currency)}" for fact in facts)
    return Stuck(
        str(payment.subject),
        f"held back, because the signature of source {source} does not cover what was told: {told}",
        f'if it is to be believed: trust = "all" below [{source}] in sources.toml, then make release SOURCE={source}',
    )


def age(since: datetime, until: datetime) -> str:
    """How long it was between two times."""
    return duration((until - since).total_seconds() * 1000)
