"""A documented event that leaves out what money needs is recorded and counted; nothing moves, and nothing is dead."""

import json
from dataclasses import replace

import pytest

from tests.support.consuming import Workers
from tests.support.recorded import Recording, recordings

INCOMPLETE = [recording for recording in recordings() if "incomplete" in recording.content]


@pytest.mark.parametrize("recording", INCOMPLETE, ids=[f"{each.provider}/{each.name}" for each in INCOMPLETE])
async def test_an_incomplete_event_is_recorded_and_counted(workers: Workers, recording: Recording) -> None:
    await workers.stream.publish(recording.event())
    async with workers.working() as running:
        await workers.drained()
        assert running.counted("events_incomplete_total") == 1
    assert await workers.dead() == []
    assert await workers.rows("SELECT type FROM events") == [(recording.content["event"]["type"],)]
    assert await workers.rows("SELECT payment_id FROM payments") == []
    assert await workers.rows("SELECT movement FROM transfers") == []


async def test_an_amount_that_cannot_be_right_is_a_dead_letter(workers: Workers) -> None:
    """Only what is absent is incomplete: a wrong amount waits for a person."""
    (recording,) = [each for each in recordings("checkout") if each.name == "payment_captured_in_part"]
    body = json.loads(recording.body)
    body["data"]["amount"] = "60.00"
    await workers.stream.publish(replace(recording.event(), body=json.dumps(body).encode()))
    async with workers.working() as running:
        await workers.drained()
        assert running.counted("events_incomplete_total") == 0
    (dead,) = await workers.dead()
    assert "data.amount" in str(dead)
