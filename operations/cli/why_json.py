"""What was found, as a script reads it: the document that `consumers/why/__init__.py` describes."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from contract.facts import Fact
from contract.keys import COMMITTED
from contract.money import major_units
from operations.cli.why_text import Answer
from operations.pending_reason import Limits
from operations.pending_reason import why as why_pending
from operations.why.diagnosis import Verdict
from operations.why.model import Conflict, EventFound, Found, HeldBack, PaymentFound, State, Waiting


def answer_json(answer: Answer, limits: Limits, now: datetime) -> dict[str, Any]:
    """The document that `consumers/why/__init__.py` describes."""
    found = answer.found
    return {
        **head_json(found),
        "stuck": [asdict(stuck) for stuck in answer.stuck],
        "events": [
            _event_json(event, found, answer.verdicts[str(event.subject)], limits, now)
            for event in found.events.values()
        ],
        "payments": [_payment_json(payment) for payment in found.payments.values()],
        "timeline": [asdict(moment) | {"at": _iso(moment.at)} for moment in answer.timeline],
    }


def head_json(found: Found) -> dict[str, Any]:
    """What is said even where nothing was found."""
    return {
        "id": found.wanted,
        "found": bool(found.events or found.payments) and not found.ambiguous,
        "looked": found.looked,
        "asked": {"redis": found.redis, "postgres": found.postgres},
        "notes": found.notes,
        "namespaces": found.ambiguous,
    }


def _event_json(event: EventFound, found: Found, verdict: Verdict, limits: Limits, now: datetime) -> dict[str, Any]:
    applied, payment, pending = event.applied, event.payment, [each.pending for each in event.waiting if each.pending]
    carried = applied or (event.entries[-1].event if event.entries else event.letters[-1] if event.letters else None)
    held = found.payments[payment].held_back if payment and payment in found.payments else []
    return {
        "namespace": event.subject.namespace,
        "event_id": event.subject.id if event.subject.namespace else None,
        "state": verdict.standing,
        "sentence": verdict.sentence,
        **{name: getattr(carried, name, None) for name in ("type", "source", "provider", "signed")},
        "resource": payment.id if payment else None,
        "occurred_at": _iso(getattr(carried, "occurred_at", None)),
        "received_at": _iso(getattr(carried, "received_at", None)),
        "entry_id": applied.entry_id if applied else None,
        "committed_at": _iso(applied.committed_at) if applied else None,
        "marker": _marker_json(event.marker),
        "attempt": pending[-1].deliveries if pending else None,
        "worker": pending[-1].consumer if pending else None,
        "entries": [_entry_json(waiting, limits, now) for waiting in event.waiting],
        "duplicates": [_plain(each) for each in event.duplicates],
        "dead_letters": [_plain(each) for each in event.letters],
        "facts": [_fact_json(fact, event, held) for fact in event.facts],
        "facts_problem": event.facts_problem,
    }


def _entry_json(waiting: Waiting, limits: Limits, now: datetime) -> dict[str, Any]:
    pending = waiting.pending
    failure = pending.failure if pending else None
    return {
        "entry_id": waiting.entry_id,
        "consumer": pending.consumer if pending else None,
        "consumer_lives": pending.consumer_lives if pending else None,
        "idle_s": pending.idle_ms / 1000 if pending else None,
        "deliveries": pending.deliveries if pending else 0,
        "lock_holder": pending.lock_holder if pending else None,
        "failure": failure.model_dump(mode="json") if failure else None,
        "why": why_pending(pending, limits, now) if pending else None,
    }


def _fact_json(fact: Fact, event: EventFound, held: Sequence[HeldBack]) -> dict[str, Any]:
    mine = [each for each in held
            if (each.event_id, each.kind, each.object) == (event.subject.id, fact.kind, fact.object)]  # fmt: skip
    return {
        "kind": fact.kind,
        "object": fact.object,
        **_money(fact.amount, fact.currency),
        "held_back": mine[0].reason if mine else None,
        "released_at": _iso(mine[0].released_at) if mine else None,
    }


def _payment_json(payment: PaymentFound) -> dict[str, Any]:
    return {
        "namespace": payment.subject.namespace,
        "payment_id": payment.subject.id,
        "state": _state_json(payment.state) if payment.state else None,
        "transfers": [_plain(each) | _money(each.amount, each.currency) for each in payment.transfers],
        "conflicts": [_conflict_json(each) for each in payment.conflicts],
        "disputes": [_plain(each) | _money(each.amount, each.currency) for each in payment.disputes],
    }


def _state_json(state: State) -> dict[str, Any]:
    document = _plain(state)
    for name in ("amount", "captured", "refunded", "disputed"):
        document |= {name: major_units(document[name], state.currency), f"{name}_minor": document[name]}
    return document


def _conflict_json(conflict: Conflict) -> dict[str, Any]:
    booked = None
    if conflict.booked_amount is not None and conflict.booked_currency is not None:
        booked = _money(conflict.booked_amount, conflict.booked_currency)
    document = _plain(conflict)
    for name in ("booked_amount", "booked_currency", "told_amount", "told_currency"):
        del document[name]
    return document | {"booked": booked, "told": _money(conflict.told_amount, conflict.told_currency)}


def _marker_json(marker: str | None) -> dict[str, str | None] | None:
    if marker is None:
        return None
    if marker == COMMITTED.decode():
        return {"state": "committed", "entry_id": None}
    return {"state": "entry" if marker else "none", "entry_id": marker or None}


def _money(minor: int, currency: str) -> dict[str, Any]:
    return {"amount": major_units(minor, currency), "amount_minor": minor, "currency": currency}


def _plain(row: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Its fields, with times as text."""
    return {name: _iso(value) if isinstance(value, datetime) else value for name, value in asdict(row).items()}


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
