"""While no worker runs, every reason why an event waits leads to the step that starts one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumers.entry import Entry
from operations.pending_reason import PendingEntry, RecordedFailure, WorkerLimits
from operations.why.diagnosis import diagnose
from operations.why.model import EventDetails, SearchResult, StreamEntry, Subject
from tests.support.events import contract_event

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMITS = WorkerLimits(claim_idle_ms=15_000, max_attempts=10)
OUTAGE = RecordedFailure(kind="infrastructure", reason="refused", at=NOW, attempt=1, retry_at=NOW + timedelta(days=1))
ENTRY = Entry("1-0", 1, contract_event(), {})
PENDING = PendingEntry("1-0", "worker-2", False, 10, 1, ENTRY, None, None)

WAITING = {
    "never read": None,
    "its worker left": PENDING,
    "its worker's lease has not ended yet": replace(PENDING, consumer_lives=True),
    "held by a stranger": replace(PENDING, consumer="curl", consumer_lives=None),
    "tried again later": replace(PENDING, failure=OUTAGE.model_copy(update={"kind": "retry"})),
    "its lock is held": replace(PENDING, lock_holder="worker-3"),
}


@pytest.mark.parametrize("pending", WAITING.values(), ids=WAITING)
@pytest.mark.parametrize("outage", [None, OUTAGE], ids=["", "after an outage"])
def test_the_next_step_is_to_start_workers(pending: PendingEntry | None, outage: RecordedFailure | None) -> None:
    entry = StreamEntry("1-0", ENTRY, pending, is_delivered=pending is not None, has_left=False)
    event = EventDetails(Subject("stripe", "evt_1"), in_stream=[entry])
    result = SearchResult("evt_1", outage=outage, workers=0)
    assert "make consumers N=2" in (diagnose(event, result, LIMITS, NOW).next or "")
    result.workers = 1
    assert diagnose(event, result, LIMITS, NOW).next is None
