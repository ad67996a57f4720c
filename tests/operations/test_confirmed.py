"""What a provider's API does not confirm is not released, is explained, and can be erased."""

import json
from typing import Any

import pytest

from operations.cli.command import EXIT_WRONG
from tests.support.operator_commands import TRANSFERS, Operator, captured, unsigned

DECIDED = """
    INSERT INTO confirmations (
        namespace, event_id, source, payment_id, state, decided_at, reason, reported, answered, fetched, fetched_type,
        fetched_at
    )
    VALUES ('stripe', $1, 'stripe', 'pi_1', $2, now(), $3, $4, $5, '{"object": "of jane@example.com"}', 't', now())
"""
DUE = "INSERT INTO confirmations (namespace, event_id, source, payment_id) VALUES ('stripe', $1, 'stripe', 'pi_1')"
STATE = "SELECT state FROM confirmations WHERE event_id = 'evt_1'"
FETCHED = "SELECT fetched IS NOT NULL FROM confirmations"
REASON = "the event reports 7.00 EUR; the API says less"
BOTH = ({"kind": "captured", "object": "pi_1", "amount": 700, "currency": "EUR"},
        {"kind": "captured", "object": "pi_1", "amount": 7, "currency": "EUR"})  # fmt: skip


async def decided(
    operator: Operator, state: str, reason: str = "the event reports 7.00 EUR; the API says less"
) -> None:
    """Apply an event that no signature proves, and decide about it."""
    await operator.apply(*unsigned(captured(700, "evt_1")))
    sides = [json.dumps([side]) for side in BOTH]
    await operator.connection.execute(DECIDED, "evt_1", state, reason, *sides)


@pytest.mark.parametrize(
    ("state", "why"), [("disagrees", "says something else"), ("not_found", "knows no such object")]
)
async def test_what_the_api_does_not_confirm_is_not_released_and_stops_no_other(
    operator: Operator, capsys: pytest.CaptureFixture[str], state: str, why: str
) -> None:
    await decided(operator, state)
    await operator.apply(*unsigned(captured(300, "evt_2", "pi_2")))
    operator.trust()
    said = await operator.say("release", "stripe")
    assert said.code == EXIT_WRONG
    assert why in capsys.readouterr().err
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_2"]
    assert await operator.rows(STATE) == [(state,)]
    await operator.assert_sound()


async def test_a_person_may_believe_an_event_that_is_still_asked_about(operator: Operator) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1")))
    await operator.connection.execute(DUE, "evt_1")
    operator.trust()
    assert (await operator.say("release", "stripe")).code == 0
    assert await operator.rows(STATE) == [("released",)]
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_1"]
    await operator.assert_sound()


SAID = {
    "disagrees": "nothing of it is booked: the event reports 7.00 EUR; the API says less",
    "not_found": "knows no such object",
    "failed": "cannot be booked",
}


@pytest.mark.parametrize("state", SAID)
async def test_why_says_what_became_of_asking(operator: Operator, state: str) -> None:
    await decided(operator, state)
    text = (await operator.say("why", "evt_1")).text
    assert SAID[state] in " ".join(text.split())
    assert "is stuck: held back" in " ".join(text.split())
    document: dict[str, Any] = (await operator.say("why", "evt_1", "--json")).json
    (event,) = document["events"]
    assert event["confirmation"]["state"] == state
    assert event["confirmation"]["answered"][0]["amount"] == 7


async def test_why_says_that_it_waits_for_the_api(operator: Operator) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1")))
    await operator.connection.execute(DUE, "evt_1")
    text = " ".join((await operator.say("why", "evt_1")).text.split())
    assert "until the provider's API, which is asked, confirms these facts" in text
    await operator.connection.execute("UPDATE confirmations SET tries = 2, reason = 'GET x answered 404'")
    assert "2 answers decided nothing" in " ".join((await operator.say("why", "evt_1")).text.split())


async def test_a_forged_event_can_be_erased_with_what_the_api_said(operator: Operator) -> None:
    await decided(operator, "disagrees")
    assert await operator.rows(FETCHED) == [(True,)]
    assert (await operator.say("erase", "--event", "evt_1", "--yes", "--reason=r")).code == 0
    assert await operator.rows(FETCHED) == [(False,)]
    assert await operator.rows("SELECT FROM payloads") == []
    await operator.assert_sound()


async def test_an_event_that_is_asked_about_is_not_erased(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1")))
    await operator.connection.execute(DUE, "evt_1")
    assert (await operator.say("erase", "--event", "evt_1", "--yes", "--reason=r")).code == EXIT_WRONG
    assert "is to be confirmed" in capsys.readouterr().err
    assert len(await operator.rows("SELECT FROM payloads")) == 1
    await operator.connection.execute("UPDATE held_back SET released_at = now()")  # as of one without facts
    assert await operator.rows("SELECT event_id FROM payloads_in_use()") == [("evt_1",)]


async def test_what_the_api_said_is_kept_as_long_as_payloads(operator: Operator) -> None:
    await decided(operator, "disagrees")
    await operator.connection.execute("UPDATE confirmations SET fetched_at = now() - interval '9 days'")
    old = Operator(operator.workers, operator.settings.model_copy(update={"payloads_kept_days": 10}))
    assert (await old.say("retain")).code == 0
    assert await operator.rows(FETCHED) == [(True,)]
    young = Operator(operator.workers, operator.settings.model_copy(update={"payloads_kept_days": 8}))
    said = await young.say("retain")
    assert "removed 1 objects" in " ".join(said.text.split())
    assert await operator.rows(FETCHED) == [(False,)]
