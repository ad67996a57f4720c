"""The timeline: everything that happened to an event or payment and has a time. Pure."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from consumers.entry import Entry
from contract.facts import Fact
from contract.keys import entry_number
from contract.money import format_amount
from ledger.transfers import TRANSFER_RULES
from operations.pending_reason import REASON_CHARS_SHOWN
from operations.units import count, duration, printable
from operations.why.acts import PAST, Acts
from operations.why.confirmation import describe_confirmation
from operations.why.model import EventDetails, HeldBackFact, PaymentDetails, RecordedAct, SearchResult, StreamEntry

ORDER = (
    "missing", "repaired", "differs", "accepted", "claimed", "failed", "dead", "replayed", "discarded", "committed",
    "duplicate", "reported", "booked", "conflict", "held_back", "asked", "decided", "confirmed", "disagrees",
    "not_found", "not_confirmed", "released", "erased",
)  # fmt: skip
"""Order of entries with the same time: a transaction has one time for all its changes."""

NOT_KEPT = "its worker and its attempt are not kept"


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened. `event` is the event it happened to, or that reported it."""

    at: datetime
    what: str
    event: str
    text: str
    actor: str | None = None
    """Who did it, if it is an act of a person that the operators' log has."""
    reason: str | None = None
    """Why, in that person's words; '' if no reason was given."""
    face: str | None = None
    operation: int | None = None
    """The act's number in the operators' log."""


def build_timeline(result: SearchResult, now: datetime) -> list[TimelineEntry]:
    """Return everything that has a time, the oldest first."""
    acts = Acts(result.acts)
    timeline = [entry for event in result.events.values() for entry in _of_event(event, acts, now)]
    for payment in result.payments.values():
        timeline += _of_payment(payment, result, acts)
    return sorted(timeline, key=lambda entry: (entry.at, ORDER.index(entry.what), entry.event))


def done_by(act: RecordedAct | None, entry: TimelineEntry) -> TimelineEntry:
    """Return the entry with who did it and why, if an act is known."""
    if act is None:
        return entry
    by = f"{entry.text}, by {printable(act.actor)}{' in the console' if act.face == 'console' else ''}"
    text = f"{by}: {printable(act.reason)}" if act.reason else f"{by}, who gave no reason"
    return replace(entry, text=text, actor=act.actor, reason=act.reason, face=act.face, operation=act.id)


def _of_event(event: EventDetails, acts: Acts, now: datetime) -> Iterator[TimelineEntry]:
    name = str(event.subject)
    for in_stream in event.in_stream:
        if not (event.applied and event.applied.entry_id == in_stream.entry_id):
            yield _accepted(event, in_stream, name)
        yield from _in_flight(in_stream, name, now)
    yield from _dead_letters(event, acts, name)
    for duplicate in event.duplicates:
        again = f"again, from {duplicate.source}, as entry {duplicate.entry_id}"
        yield TimelineEntry(duplicate.received_at, "accepted", name, again)
        yield TimelineEntry(duplicate.recorded_at, "duplicate", name,
                            f"entry {duplicate.entry_id} was applied already; it changed nothing")  # fmt: skip
    yield from _findings(event, name)
    yield from _applied(event, name)
    yield from _confirmation(event, name, acts)
    for act in acts.erasing(event.subject):
        if text := _erased_text(act, event):
            yield done_by(act, TimelineEntry(act.acted_at, "erased", name, text))


def _findings(event: EventDetails, name: str) -> Iterator[TimelineEntry]:
    """Yield what comparisons with the provider's list found."""
    for finding in event.findings:
        if finding.found_at:
            what = "missing" if finding.kind == "missing" else "differs"
            sides = f" (here: {finding.recorded}; there: {finding.listed})" if finding.kind == "different" else ""
            text = f"compared with the provider's list of {finding.source}: {finding.difference}{sides}"
            yield TimelineEntry(finding.found_at, what, name, _short(text))
        if finding.repaired_at:
            added = f"added to the stream as entry {finding.entry_id or 'unknown'}, as the provider lists it"
            yield TimelineEntry(finding.repaired_at, "repaired", name, added)


def _erased_text(act: RecordedAct, event: EventDetails) -> str:
    """Return what of the event was erased; empty if nothing was. An act counts payloads, and does not list them."""
    payloads, events = act.details.get("payloads", 0), act.details.get("events", [])
    erased = []
    if payloads:
        erased.append("its body and headers" + ("" if payloads >= len(events) else ", if they were still kept"))
    erased += [f"what dead letter {each.id} had" for each in event.dead_letters if act.names("dead_letters", each.id)]
    return ", and ".join(erased)


def _dead_letters(event: EventDetails, acts: Acts, name: str) -> Iterator[TimelineEntry]:
    for dead_letter in event.dead_letters:
        source = dead_letter.source or "an unreadable entry"
        yield TimelineEntry(_added_at(dead_letter.entry_id), "accepted", name,
                            f"from {source}, as entry {dead_letter.entry_id}")  # fmt: skip
        yield TimelineEntry(dead_letter.died_at, "dead", name,
                            f"entry {dead_letter.entry_id} went to the dead letters as number {dead_letter.id}, after "
                            f"{count(dead_letter.attempts, 'attempt')}: {_short(dead_letter.reason)}")  # fmt: skip
        closing, *others = acts.on_dead_letter(dead_letter)
        if dead_letter.state_changed_at:
            closed = TimelineEntry(dead_letter.state_changed_at, dead_letter.state, name,
                                   f"dead letter {dead_letter.id}")  # fmt: skip
            yield done_by(closing, closed)
        for act in filter(None, others):
            again = f"dead letter {dead_letter.id}: {act.details.get('outcome', '')}"
            yield done_by(act, TimelineEntry(act.acted_at, PAST[act.action], name, again))


def _applied(event: EventDetails, name: str) -> Iterator[TimelineEntry]:
    applied = event.applied
    if applied is None:
        return
    source = _came_by(applied.source, applied.origin)
    accepted = _entered(event, applied.entry_id, applied.received_at, source, name)
    yield accepted
    took = duration((applied.committed_at - accepted.at).total_seconds() * 1000)
    yield TimelineEntry(applied.committed_at, "committed", name, f"{took} after it was accepted; {NOT_KEPT}")
    for fact in event.facts:
        yield TimelineEntry(applied.committed_at, "reported", name, _fact_text(fact))


def _confirmation(event: EventDetails, name: str, acts: Acts) -> Iterator[TimelineEntry]:
    """Yield that the provider's API is asked about the event, and what it says."""
    if (asked := event.confirmation) is None:
        return
    again = acts.asking_again(event.subject, asked.recorded_at)
    for what, at, text in describe_confirmation(asked):
        yield done_by(again if what == "asked" else None, TimelineEntry(at, what, name, text))


def _entered(event: EventDetails, entry_id: str, received_at: datetime, source: str, name: str) -> TimelineEntry:
    """Return when an entry came into the stream: for one after a dead letter that is later than the delivery."""
    text = f"from {source}, as entry {entry_id}"
    if any(entry_number(dead_letter.entry_id) < entry_number(entry_id) for dead_letter in event.dead_letters):
        return TimelineEntry(_added_at(entry_id), "accepted", name, f"again, {text}")
    return TimelineEntry(received_at, "accepted", name, text)


def _came_by(source: str, origin: str) -> str:
    return source if origin == "delivery" else f"{source}, by the provider's list and not by a delivery"


def _accepted(of: EventDetails, in_stream: StreamEntry, name: str) -> TimelineEntry:
    if isinstance(in_stream.entry, Entry):
        event = in_stream.entry.event
        return _entered(of, in_stream.entry_id, event.received_at, _came_by(event.source, event.origin), name)
    text = f"as entry {in_stream.entry_id}, which is not an envelope"
    return TimelineEntry(_added_at(in_stream.entry_id), "accepted", name, text)


def _in_flight(in_stream: StreamEntry, name: str, now: datetime) -> Iterator[TimelineEntry]:
    pending = in_stream.pending
    if pending is None:
        return
    yield TimelineEntry(now - timedelta(milliseconds=pending.idle_ms), "claimed", name,
                        f"held by {pending.consumer}, delivery {pending.deliveries}; last heartbeat "
                        f"{duration(pending.idle_ms)} ago")  # fmt: skip
    if failure := pending.failure:
        attempt = (
            f"attempt {failure.attempt}" if failure.kind == "retry" else "infrastructure, not counted as an attempt"
        )
        yield TimelineEntry(failure.at, "failed", name, f"{attempt}: {_short(failure.reason)}")


def _of_payment(payment: PaymentDetails, result: SearchResult, acts: Acts) -> Iterator[TimelineEntry]:
    """Yield what the shown events did to the payment, and transfers they report that another event booked first."""
    events = [event for event in result.events.values() if event.payment == payment.subject]
    event_ids = {event.subject.id for event in events}
    transfer_keys = {
        f"{TRANSFER_RULES[fact.kind].name}:{fact.object}"
        for event in events
        for fact in event.facts
        if fact.kind in TRANSFER_RULES
    }
    yield from _booked(payment, event_ids, transfer_keys)
    yield from _conflicts(payment, acts)
    yield from _held_back(payment, event_ids, acts)


def _booked(
    payment: PaymentDetails, event_ids: AbstractSet[str], transfer_keys: AbstractSet[str]
) -> Iterator[TimelineEntry]:
    for transfer in payment.transfers:
        if transfer.event_id in event_ids or transfer.movement in transfer_keys:
            yield TimelineEntry(transfer.booked_at, "booked", f"{payment.subject.namespace}/{transfer.event_id}",
                                f"{transfer.movement}: {format_amount(transfer.amount, transfer.currency)} "
                                f"from {transfer.debit_account} to {transfer.credit_account}")  # fmt: skip


def _conflicts(payment: PaymentDetails, acts: Acts) -> Iterator[TimelineEntry]:
    for conflict in payment.conflicts:
        event = f"{payment.subject.namespace}/{conflict.event_id}"
        reported = (
            f"{conflict.movement} is reported as {format_amount(conflict.reported_amount, conflict.reported_currency)}"
        )
        booked = "nothing is booked"
        if conflict.booked_amount is not None and conflict.booked_currency is not None:
            booked = f"booked is {format_amount(conflict.booked_amount, conflict.booked_currency)}"
        yield TimelineEntry(conflict.found_at, "conflict", event, f"conflict {conflict.id}: {reported}, and {booked}")
        if conflict.decided_at:
            decided = f"conflict {conflict.id}: the {conflict.decision} amount is right"
            yield done_by(
                acts.deciding(conflict), TimelineEntry(conflict.decided_at, "decided", event, decided)
            )  # fmt: skip


def _held_back(payment: PaymentDetails, event_ids: AbstractSet[str], acts: Acts) -> Iterator[TimelineEntry]:
    for fact in payment.held_back:
        if fact.event_id not in event_ids:
            continue
        event, text = f"{payment.subject.namespace}/{fact.event_id}", _fact_text(fact)
        yield TimelineEntry(fact.held_at, "held_back", event, f"{text}: {_because(fact.reason)}")
        if fact.released_at:
            released = TimelineEntry(fact.released_at, "released", event, text)
            yield done_by(acts.releasing(payment, fact), released)


def _fact_text(fact: Fact | HeldBackFact) -> str:
    object_ = f" ({fact.object})" if fact.object else ""
    return f"{fact.kind}{object_} {format_amount(fact.amount, fact.currency)}"


def _because(reason: str) -> str:
    if reason == "unsigned":
        return "the signature does not cover it, and its source was trusted only as far as that when it came"
    return "the payment's money is stopped by a conflict"


def _added_at(entry_id: str) -> datetime:
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)


def _short(reason: str) -> str:
    return printable(reason)[:REASON_CHARS_SHOWN]
