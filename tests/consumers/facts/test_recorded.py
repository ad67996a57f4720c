"""Every recorded event tells exactly the facts beside it."""

from datetime import datetime

import pytest

from consumers.facts import READERS
from tests.support.recorded import Recording, recordings

RECORDINGS = recordings()
every_recording = pytest.mark.parametrize(
    "recording", RECORDINGS, ids=[f"{each.provider}/{each.name}" for each in RECORDINGS]
)


@every_recording
def test_the_facts(recording: Recording) -> None:
    told = READERS[recording.provider](recording.event())
    assert [[fact.kind, fact.amount, fact.currency, fact.object] for fact in told] == recording.content["facts"]


@every_recording
def test_the_event(recording: Recording) -> None:
    event, expected = recording.event(), dict(recording.content["event"])
    if "occurred_at" in expected:
        text = expected.pop("occurred_at")
        assert event.occurred_at == (datetime.fromisoformat(text) if text else None)
    assert {name: getattr(event, name) for name in expected} == expected


@every_recording
def test_where_the_shape_is_documented(recording: Recording) -> None:
    assert recording.content["source"]
