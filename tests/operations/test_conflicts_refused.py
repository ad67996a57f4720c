"""Decisions that fail or are refused change nothing."""

import pytest

from consumers.settings import Settings
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG
from tests.support.operator_commands import DECISIONS, HANDLED, HELD, PAYMENTS, STOPPED, TRANSFERS, Operator, captured
from tests.support.stream_states import say, settings_for


async def test_a_handler_that_fails_undoes_the_decision(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    await operator.apply(*STOPPED)
    before = await operator.rows(TRANSFERS), await operator.rows(PAYMENTS), await operator.rows(HELD)
    await operator.connection.execute("ALTER TABLE handled_facts ADD CONSTRAINT small CHECK (object <> 're_2')")
    assert (await operator.say("resolve", "1", "--keep", "reported")).code == EXIT_WRONG
    error = capsys.readouterr().err
    assert "Nothing was decided: a handler failed: CheckViolationError" in error
    assert len(error.splitlines()) == 1
    assert (await operator.rows(TRANSFERS), await operator.rows(PAYMENTS), await operator.rows(HELD)) == before
    assert await operator.rows(DECISIONS) == [(1, None)]
    await operator.connection.execute("ALTER TABLE handled_facts DROP CONSTRAINT small")
    assert (await operator.say("resolve", "1", "--keep", "reported")).code == 0
    assert [row[1:3] for row in await operator.rows(HANDLED)][-2:] == [("refunded", "re_1"), ("refunded", "re_2")]


async def test_a_decision_is_made_once(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == EXIT_WRONG
    assert "There is no open conflict with the number or payment id '1'" in capsys.readouterr().err
    await operator.apply(*STOPPED)
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert (await operator.say("resolve", "1", "--keep", "reported")).code == EXIT_WRONG
    assert "decided already" in capsys.readouterr().err
    assert await operator.rows(DECISIONS) == [(1, "booked")]


async def test_a_number_is_a_conflict_before_it_is_a_payment(operator: Operator) -> None:
    await operator.apply(*STOPPED[:2], *(captured(amount, f"evt_1_{amount}", "1") for amount in (700, 800)))
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert await operator.rows(DECISIONS) == [(1, "booked"), (2, None)]
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert await operator.rows(DECISIONS) == [(1, "booked"), (2, "booked")]


async def test_settings_that_cannot_be_used_are_exit_2(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    unloadable = operator.settings.model_copy(update={"handlers": "no.such:handlers"})
    assert (await say(unloadable, "resolve", "1", "--keep", "reported")).code == 2
    assert "Nothing was decided." in capsys.readouterr().err
    operator.trust("[")
    assert (await operator.say("release", "stripe")).code == 2
    assert "Nothing was released." in capsys.readouterr().err


async def test_the_former_value_told_is_accepted_with_a_warning(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.apply(*STOPPED)
    document = (await operator.say("resolve", "1", "--keep", "told", "--json")).json
    assert document["keep"] == "reported"
    assert "--keep told is deprecated" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        await operator.say("resolve", "--help")
    assert "told" not in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["resolve", "1"], ["resolve", "1", "--keep", "both"], ["resolve"]])
async def test_a_decision_must_name_an_id_and_a_side(settings: Settings, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        await say(settings, *argv)
    assert stopped.value.code == 2


@pytest.mark.parametrize("argv", [["conflicts"], ["resolve", "1", "--keep", "reported"], ["release", "stripe"]])
async def test_an_unreachable_server_is_exit_3(operator: Operator, argv: list[str]) -> None:
    operator.trust()
    nowhere = settings_for("redis://127.0.0.1:1", "postgresql://127.0.0.1:1/x", "any")
    away = nowhere.model_copy(update={"sources_file": operator.settings.sources_file})
    assert (await say(away, *argv)).code == EXIT_UNREACHABLE
