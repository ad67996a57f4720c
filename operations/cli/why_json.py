"""`why --json`: the document that `operations/why/__init__.py` describes."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from contract.facts import Fact
from contract.keys import is_committed
from contract.money import major_units
from operations.pending_reason import pending_reason
from operations.why.explain import Explanation
from operations.why.model import (
    ConflictRecord,
    EventDetails,
    HeldBackFact,
    PaymentDetails,
    PaymentState,
    StreamEntry,
)


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Return the whole document."""
    result = explanation.result
    return {
        **search_json(explanation),
        "stuck": [asdict(stuck) for stuck in explanation.stuck],
        "events": [_event_json(event, explanation) for event in result.events.values()],
        "payments": [_payment_json(payment) for payment in result.payments.values()],
        "timeline": [asdict(entry) | {"at": _iso(entry.at)} for entry in explanation.timeline],
    }


def search_json(explanation: Explanation) -> dict[str, Any]:
    """Return the part of the document about the search, which is printed even if nothing was found."""
    result = explanation.result
    return {
        "id": result.id_text,
        "found": explanation.is_found,
        "looked": result.searched,
        "asked": {"redis": result.redis_problem, "postgres": result.postgres_problem},
        "notes": result.notes,
        "namespaces": result.ambiguous,
    }


def _event_json(event: EventDetails, explanation: Explanation) -> dict[str, Any]:
    applied, payment, payments = event.applied, event.payment, explanation.result.payments
    diagnosis = explanation.diagnoses[event.subject]
    pending = [each.pending for each in event.in_stream if each.pending]
    entries, dead_letters = event.readable_entries, event.dead_letters
    described_by = applied or (entries[-1].event if entries else dead_letters[-1] if dead_letters else None)
    held_back = payments[payment].held_back if payment and payment in payments else []
    return {
        "namespace": event.subject.namespace,
        "event_id": event.subject.id if event.subject.namespace else None,
        "state": diagnosis.state,
        "sentence": diagnosis.sentence,
        **{name: getattr(described_by, name, None) for name in ("type", "source", "provider", "signed")},
        "resource": payment.id if payment else None,
        "occurred_at": _iso(getattr(described_by, "occurred_at", None)),
        "received_at": _iso(getattr(described_by, "received_at", None)),
        "mode": getattr(described_by, "mode", None),
        "account": getattr(described_by, "account", "") or None,
        "origin": getattr(described_by, "origin", None),
        "is_of_other_mode": applied.is_of_other_mode if applied else False,
        "entry_id": applied.entry_id if applied else None,
        "committed_at": _iso(applied.committed_at) if applied else None,
        "marker": _marker_json(event.marker),
        "attempt": pending[-1].deliveries if pending else None,
        "worker": pending[-1].consumer if pending else None,
        "entries": [_entry_json(in_stream, explanation) for in_stream in event.in_stream],
        "duplicates": [_plain(duplicate) for duplicate in event.duplicates],
        "dead_letters": [_plain(dead_letter) for dead_letter in dead_letters],
        "findings": [_plain(finding) for finding in event.findings],
        "facts": [_fact_json(fact, event, held_back) for fact in event.facts],
        "facts_problem": event.facts_problem,
        "confirmation": _plain(event.confirmation) if event.confirmation else None,
    }


def _entry_json(in_stream: StreamEntry, explanation: Explanation) -> dict[str, Any]:
    pending = in_stream.pending
    failure = pending.failure if pending else None
    return {
        "entry_id": in_stream.entry_id,
        "consumer": pending.consumer if pending else None,
        "consumer_lives": pending.consumer_lives if pending else None,
        "idle_s": pending.idle_ms / 1000 if pending else None,
        "deliveries": pending.deliveries if pending else 0,
        "lock_holder": pending.lock_holder if pending else None,
        "failure": failure.model_dump(mode="json") if failure else None,
        "why": pending_reason(pending, explanation.limits, explanation.now) if pending else None,
    }


def _fact_json(fact: Fact, event: EventDetails, held_back: Sequence[HeldBackFact]) -> dict[str, Any]:
    own = [
        each
        for each in held_back
        if (each.event_id, each.kind, each.object) == (event.subject.id, fact.kind, fact.object)
    ]
    return {
        "kind": fact.kind,
        "object": fact.object,
        **_money(fact.amount, fact.currency),
        "held_back": own[0].reason if own else None,
        "released_at": _iso(own[0].released_at) if own else None,
    }


def _payment_json(payment: PaymentDetails) -> dict[str, Any]:
    return {
        "namespace": payment.subject.namespace,
        "payment_id": payment.subject.id,
        "state": _state_json(payment.state) if payment.state else None,
        "transfers": [_plain(each) | _money(each.amount, each.currency) for each in payment.transfers],
        "conflicts": [_conflict_json(each) for each in payment.conflicts],
        "disputes": [_plain(each) | _money(each.amount, each.currency) for each in payment.disputes],
    }


def _state_json(state: PaymentState) -> dict[str, Any]:
    document = _plain(state)
    currencies = dict.fromkeys(("amount", "captured", "captured_outside", "refunded"), state.currency)
    for name, currency in (currencies | {"disputed": state.disputed_currency or state.currency}).items():
        document |= {name: major_units(document[name], currency), f"{name}_minor": document[name]}
    return document


def _conflict_json(conflict: ConflictRecord) -> dict[str, Any]:
    booked = None
    if conflict.booked_amount is not None and conflict.booked_currency is not None:
        booked = _money(conflict.booked_amount, conflict.booked_currency)
    document = _plain(conflict)
    for name in ("booked_amount", "booked_currency", "reported_amount", "reported_currency"):
        del document[name]
    reported = _money(conflict.reported_amount, conflict.reported_currency)
    return document | {"booked": booked, "reported": reported, "told": reported}


def _marker_json(marker: str | None) -> dict[str, str | None] | None:
    if marker is None:
        return None
    if is_committed(marker.encode()):
        return {"state": "committed", "entry_id": None}
    return {"state": "entry" if marker else "none", "entry_id": marker or None}


def _money(minor: int, currency: str) -> dict[str, Any]:
    return {"amount": major_units(minor, currency), "amount_minor": minor, "currency": currency}


def _plain(row: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Return the fields, with times as text."""
    return {name: _iso(value) if isinstance(value, datetime) else value for name, value in asdict(row).items()}


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
