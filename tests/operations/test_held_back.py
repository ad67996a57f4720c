"""Facts held back as unsigned are released once their source is trusted."""

import asyncio

import pytest

from operations import held_back
from operations.cli.command import EXIT_WRONG
from tests.support.operator_commands import (
    HANDLED,
    HELD,
    PAYMENTS,
    STOPPED,
    TRANSFERS,
    Operator,
    captured,
    refunded,
    unsigned,
)


async def test_nothing_is_released_of_an_untrusted_source(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1")))
    assert "release SOURCE" in (await operator.say("conflicts")).text
    assert (await operator.say("release", "stripe")).code == EXIT_WRONG
    assert "has no source 'stripe'; there are: " in capsys.readouterr().err
    operator.trust('[stripe]\nprovider = "stripe"\n')
    assert (await operator.say("release", "stripe")).code == EXIT_WRONG
    assert 'its trust is "signed"' in capsys.readouterr().err
    assert await operator.rows(TRANSFERS) == []


async def test_held_back_facts_of_a_trusted_source_are_booked(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "EVENTS_AT_ONCE", 2)
    story = [captured(700, f"evt_{number}", f"pi_{number}") for number in range(4)]
    again = captured(700, "evt_again", "pi_0")
    await operator.apply(*unsigned(*story, again, refunded(200, "evt_refund", payment="pi_0")))
    operator.trust()
    document = (await operator.say("release", "stripe", "--json")).json
    assert document == {"released": 6, "booked": 5, "conflicts": 0, "failed": []}
    assert await operator.rows(PAYMENTS) == [
        ("pi_0", "partially_refunded", 700, 200), *((f"pi_{number}", "succeeded", 700, 0) for number in (1, 2, 3)),
    ]  # fmt: skip
    counted = "SELECT kind, count(*), count(DISTINCT key) FROM handled_facts GROUP BY kind ORDER BY kind"
    assert await operator.rows(counted) == [
        ("authorized", 4, 4), ("captured", 4, 4), ("refunded", 1, 1)]  # fmt: skip
    assert all(row[-1] for row in await operator.rows(HELD))
    await operator.assert_sound()
    assert "Nothing more" in (await operator.say("release", "stripe")).text
    assert (await operator.say("conflicts")).text.endswith("Nothing is on hold.\n")


async def test_a_contradiction_in_a_release_waits_for_a_decision(operator: Operator) -> None:
    await operator.apply(*unsigned(*STOPPED[:2]))
    operator.trust()
    said = await operator.say("release", "stripe")
    assert "2 events of source 'stripe' released; 1 transfer booked." in said.text
    assert "1 conflict " in said.text
    await operator.connection.execute("UPDATE held_back SET released_at = now()")
    await operator.apply(*unsigned(*STOPPED[2:]))
    assert (await operator.say("release", "stripe")).code == 0
    assert [row[:3] + row[4:] for row in await operator.rows(HELD)][-2:] == [
        ("conflict", "refunded", "re_1", False), ("conflict", "refunded", "re_2", False)]  # fmt: skip
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 600)]
    assert [row[0] for row in await operator.rows(HANDLED)][-2:] == ["evt_r1", "evt_r2"]
    await operator.assert_sound()


async def test_an_event_that_fails_stays_held_back_and_stops_no_other(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    story = [captured(700, f"evt_{number}", f"pi_{number}") for number in range(5)]
    await operator.apply(*unsigned(*story))
    operator.trust()
    await operator.connection.execute("ALTER TABLE handled_facts ADD CONSTRAINT small CHECK (event_id <> 'evt_1')")
    await operator.connection.execute("DELETE FROM payloads WHERE event_id = 'evt_3'")
    await operator.connection.execute("UPDATE payloads SET body = '{}' WHERE event_id = 'evt_4'")
    said = await operator.say("release", "stripe")
    assert said.code == EXIT_WRONG
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("evt_1 stays on hold: a handler failed: CheckViolationError")
    assert second == "evt_3 stays on hold: its payload is not kept any more, so that it cannot be read again."
    assert third.startswith("evt_4 stays on hold: the body is not what its provider documents")
    assert [row[0] for row in await operator.rows(PAYMENTS)] == ["pi_0", "pi_2"]
    assert await operator.rows("SELECT DISTINCT event_id FROM held_back WHERE released_at IS NULL ORDER BY 1") == [
        ("evt_1",), ("evt_3",), ("evt_4",)]  # fmt: skip
    await operator.assert_sound()


async def test_several_operators_who_release_the_same_source_book_it_once(operator: Operator) -> None:
    await operator.apply(*unsigned(*(captured(700, f"evt_{number}", f"pi_{number}") for number in range(5))))
    operator.trust()
    said = await asyncio.gather(*(operator.say("release", "stripe", "--json") for _ in range(3)))
    assert sorted(each.json["released"] for each in said) == [0, 0, 5]
    assert await operator.rows("SELECT count(*) FROM handled_facts WHERE kind = 'captured'") == [(5,)]
    await operator.assert_sound()
