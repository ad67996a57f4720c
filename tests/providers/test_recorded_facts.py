"""Every recorded event gives exactly the facts of its recording."""

from datetime import datetime

import pytest

from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from providers import FACT_EXTRACTORS
from providers.facts import IncompleteError
from sql.audit import audit
from tests.support.consuming import Workers
from tests.support.recorded import Recording, recordings

RECORDINGS = recordings()
every_recording = pytest.mark.parametrize(
    "recording", RECORDINGS, ids=[f"{each.provider}/{each.name}" for each in RECORDINGS]
)


@every_recording
def test_a_recorded_event_gives_its_facts(recording: Recording) -> None:
    extract_facts = FACT_EXTRACTORS[recording.provider]
    if lacking := recording.content.get("incomplete"):
        with pytest.raises(IncompleteError, match=lacking):
            extract_facts(recording.event())
        return
    facts = extract_facts(recording.event())
    assert [[fact.kind, fact.amount, fact.currency, fact.object] for fact in facts] == recording.content["facts"]


@every_recording
def test_a_recorded_request_gives_its_event(recording: Recording) -> None:
    event, expected = recording.event(), dict(recording.content["event"])
    if "occurred_at" in expected:
        text = expected.pop("occurred_at")
        assert event.occurred_at == (datetime.fromisoformat(text) if text else None)
    assert {name: getattr(event, name) for name in expected} == expected


EVENT = "SELECT type, resource, occurred_at, signed FROM events WHERE namespace = $1 AND event_id = $2"
PAYMENT = "SELECT status, currency, amount, captured, refunded, disputed FROM payments WHERE namespace = $1"
TRANSFERS = """
    SELECT movement, debit_account, credit_account, amount, currency
    FROM transfers WHERE namespace = $1 ORDER BY movement
"""
TRUST = builtin({provider: PostingRules(trust="all") for provider in FACT_EXTRACTORS})


async def test_a_recorded_event_gives_its_rows(workers: Workers) -> None:
    """A worker applies each event in a namespace of its own; its rows are exactly those of its recording."""
    by_namespace = {f"recording-{number}": recording for number, recording in enumerate(RECORDINGS)}
    for namespace, recording in by_namespace.items():
        await workers.stream.publish(recording.event(namespace))
    async with workers.working(TRUST):
        await workers.drained()
    assert await workers.dead() == []
    for namespace, recording in by_namespace.items():
        event, expected = recording.event(namespace), recording.content
        (row,) = await workers.rows(EVENT, namespace, event.event_id)
        assert row == (event.type, event.resource, event.occurred_at, event.signed), recording
        payments = [dict(row) for row in await workers.connection.fetch(PAYMENT, namespace)]
        assert payments == ([expected["payment"]] if expected["payment"] else []), recording
        assert [list(row) for row in await workers.rows(TRANSFERS, namespace)] == expected["transfers"], recording
    assert await audit(workers.connection) == []


@every_recording
def test_every_recording_cites_its_source(recording: Recording) -> None:
    assert recording.content["source"]
