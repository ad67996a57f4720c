"""What happened, in order of time. Pure."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from consumers.entry import Entry
from contract.money import written
from ledger.transfers import MOVES
from operations.pending_reason import REASON_CHARS_MAX
from operations.units import duration, printable
from operations.why.diagnosis import age
from operations.why.model import EventFound, Found, PaymentFound, Waiting

ORDER = ("accepted", "claimed", "failed", "dead", "replayed", "discarded", "committed", "duplicate", "told", "booked",
         "conflict", "held_back", "decided", "released")  # fmt: skip
"""Of what happened in one moment, what came first: a transaction has one time for all it did."""

NOT_KEPT = "which worker did it, and at which attempt, is not kept"


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened. `event` is the one it happened to, or that told of it."""

    at: datetime
    what: str
    event: str
    text: str


def tell(found: Found, now: datetime) -> list[Moment]:
    """Everything that has a time, the oldest first."""
    moments = [moment for event in found.events.values() for moment in _of_event(event, now)]
    for payment in found.payments.values():
        moments += _of_payment(payment, found)
    return sorted(moments, key=lambda moment: (moment.at, ORDER.index(moment.what), moment.event))


def _of_event(event: EventFound, now: datetime) -> Iterator[Moment]:
    name = str(event.subject)
    for waiting in event.waiting:
        if not (event.applied and event.applied.entry_id == waiting.entry_id):
            yield _accepted(waiting, name)
        yield from _in_hand(waiting, name, now)
    for letter in event.letters:
        entry_at = datetime.fromtimestamp(int(letter.entry_id.partition("-")[0]) / 1000, UTC)
        yield Moment(
            entry_at, "accepted", name, f"from {letter.source or 'an unreadable entry'}, as entry {letter.entry_id}"
        )
        yield Moment(letter.died_at, "dead", name, f"entry {letter.entry_id} went to the dead letters as number "
                     f"{letter.id}, after {letter.attempts} attempts: {_short(letter.reason)}")  # fmt: skip
        if letter.state_changed_at:
            yield Moment(letter.state_changed_at, letter.state, name, f"dead letter {letter.id}")
    for duplicate in event.duplicates:
        yield Moment(
            duplicate.received_at, "accepted", name, f"again, from {duplicate.source}, as entry {duplicate.entry_id}"
        )
        yield Moment(duplicate.recorded_at, "duplicate", name,
                     f"entry {duplicate.entry_id} was found to be applied already; it changed nothing")  # fmt: skip
    yield from _applied(event, name)


def _applied(event: EventFound, name: str) -> Iterator[Moment]:
    applied = event.applied
    if applied is None:
        return
    yield Moment(applied.received_at, "accepted", name, f"from {applied.source}, as entry {applied.entry_id}")
    yield Moment(applied.committed_at, "committed", name,
                 f"{age(applied.received_at, applied.committed_at)} after it was accepted; {NOT_KEPT}")  # fmt: skip
    for fact in event.facts:
        of = f" ({fact.object})" if fact.object else ""
        yield Moment(applied.committed_at, "told", name, f"{fact.kind}{of} {written(fact.amount, fact.currency)}")


def _accepted(waiting: Waiting, name: str) -> Moment:
    if isinstance(waiting.entry, Entry):
        event = waiting.entry.event
        return Moment(event.received_at, "accepted", name, f"from {event.source}, as entry {waiting.entry_id}")
    at = datetime.fromtimestamp(int(waiting.entry_id.partition("-")[0]) / 1000, UTC)
    return Moment(at, "accepted", name, f"as entry {waiting.entry_id}, which is no envelope")


def _in_hand(waiting: Waiting, name: str, now: datetime) -> Iterator[Moment]:
    pending = waiting.pending
    if pending is None:
        return
    yield Moment(now - timedelta(milliseconds=pending.idle_ms), "claimed", name,
                 f"in the hands of {pending.consumer}, delivery {pending.deliveries}; it said so last "
                 f"{duration(pending.idle_ms)} ago")  # fmt: skip
    if failure := pending.failure:
        counted = (
            f"attempt {failure.attempt}" if failure.kind == "retry" else "infrastructure, not counted as an attempt"
        )
        yield Moment(failure.at, "failed", name, f"{counted}: {_short(failure.reason)}")


def _of_payment(payment: PaymentFound, found: Found) -> Iterator[Moment]:
    """What the events that are shown told about it, even where another event had told it first."""
    events = [event for event in found.events.values() if event.payment == payment.subject]
    names = {event.subject.id for event in events}
    movements = {
        f"{MOVES[fact.kind].name}:{fact.object}" for event in events for fact in event.facts if fact.kind in MOVES
    }
    yield from _booked(payment, names, movements)
    yield from _not_booked(payment, names)


def _booked(payment: PaymentFound, names: AbstractSet[str], movements: AbstractSet[str]) -> Iterator[Moment]:
    space = payment.subject.namespace
    for transfer in payment.transfers:
        if transfer.event_id not in names and transfer.movement not in movements:
            continue
        yield Moment(transfer.booked_at, "booked", f"{space}/{transfer.event_id}",
                     f"{transfer.movement}: {written(transfer.amount, transfer.currency)} "
                     f"from {transfer.debit_account} to {transfer.credit_account}")  # fmt: skip


def _not_booked(payment: PaymentFound, names: AbstractSet[str]) -> Iterator[Moment]:
    space = payment.subject.namespace
    for conflict in payment.conflicts:
        event = f"{space}/{conflict.event_id}"
        told = f"{conflict.movement} is told as {written(conflict.told_amount, conflict.told_currency)}"
        booked = "nothing is booked"
        if conflict.booked_amount is not None and conflict.booked_currency is not None:
            booked = f"booked is {written(conflict.booked_amount, conflict.booked_currency)}"
        yield Moment(conflict.found_at, "conflict", event, f"conflict {conflict.id}: {told}, and {booked}")
        if conflict.decided_at:
            yield Moment(conflict.decided_at, "decided", event, f"conflict {conflict.id}: {conflict.decision} is right")
    for fact in payment.held_back:
        if fact.event_id not in names:
            continue
        event, of = f"{space}/{fact.event_id}", f" ({fact.object})" if fact.object else ""
        text = f"{fact.kind}{of} {written(fact.amount, fact.currency)}"
        yield Moment(fact.held_at, "held_back", event, f"{text}: {_because(fact.reason)}")
        if fact.released_at:
            yield Moment(fact.released_at, "released", event, text)


def _because(reason: str) -> str:
    if reason == "unsigned":
        return "the signature does not cover it, and the source trusts only what is signed"
    return "the payment's money is stopped by a conflict"


def _short(reason: str) -> str:
    return printable(reason)[:REASON_CHARS_MAX]
