"""`confirm`: what was decided against is counted, and asked about again once what was wrong is mended."""

from dataclasses import replace
from pathlib import Path

import pytest

from operations.cli.command import EXIT_USAGE, EXIT_WRONG
from operations.log import list_operations
from tests.support.asking_why import ask_why
from tests.support.confirming import Asking
from tests.support.operator_commands import captured, refunded, unsigned
from tests.support.stream_states import Said, say

PAID, OTHER = unsigned(captured(700, "evt_1"), captured(300, "evt_2", "pi_2"))
(REFUND,) = unsigned(refunded(200, "evt_r1"))
SOURCES = '[stripe]\nprovider = "stripe"\nconfirm = "api"\n\n[closed]\nprovider = "stripe"\n'
YES = ("--yes", "--reason", "the credentials were of the other mode", "--actor", "ada")


@pytest.fixture
def asking(asking: Asking, tmp_path: Path) -> Asking:
    """The same, with a file of sources that is not the one of this checkout."""
    file = tmp_path / "sources.toml"
    file.write_text(SOURCES)
    return replace(asking, settings=asking.settings.model_copy(update={"sources_file": file}))


async def confirm(asking: Asking, *argv: str) -> Said:
    return await say(asking.settings, "confirm", *argv)


async def decide(asking: Asking) -> None:
    """Let the API know one event, and decide against two."""
    asking.api.has(REFUND)
    await asking.publish(PAID, OTHER, REFUND)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(evt_1="not_found", evt_2="not_found", evt_r1="confirmed")


async def test_what_was_answered_404_is_asked_again_and_booked_once(asking: Asking) -> None:
    await decide(asking)
    counted = await confirm(asking, "stripe")
    assert (counted.code, "2 not_found. Nothing was done" in counted.text) == (0, True)
    assert (await confirm(asking, "stripe", "--event", "evt_1", *YES)).code == 0
    assert await asking.states() == {"evt_1": "due", "evt_2": "not_found", "evt_r1": "confirmed"}
    (act,) = await list_operations(asking.workers.connection, before=None, limit=9)
    assert (act.actor, act.action, act.subject, act.touched) == ("ada", "confirm", "source:stripe", 1)
    assert act.details == {"events": ["stripe/evt_1"]}
    asking.api.has(PAID, OTHER)
    async with asking.working():
        await asking.decided(evt_1="confirmed", evt_2="not_found", evt_r1="confirmed")
        assert "about 1 event of" in (await confirm(asking, "stripe", *YES)).text
        await asking.decided(evt_1="confirmed", evt_2="confirmed", evt_r1="confirmed")
    booked = [("capture:pi_1", 700, "EUR"), ("capture:pi_2", 300, "EUR"), ("refund:re_1", 200, "EUR")]
    assert await asking.transfers() == booked
    timeline = (await ask_why(asking.settings, "evt_1"))["timeline"]
    (asked,) = [entry for entry in timeline if entry["what"] == "asked"]
    assert (asked["actor"], asked["reason"]) == ("ada", YES[2])
    await asking.assert_sound()


async def test_a_confirmed_event_stays_as_it_is(asking: Asking) -> None:
    await decide(asking)
    said = await confirm(asking, "stripe", "--event", "evt_r1", *YES)
    assert "Nothing of event evt_r1 of source 'stripe' was decided against" in said.text
    assert (await asking.states())["evt_r1"] == "confirmed"
    assert await list_operations(asking.workers.connection, before=None, limit=9) == []


async def test_without_a_reason_a_payload_or_anybody_who_asks_nothing_is_done(
    asking: Asking, capsys: pytest.CaptureFixture[str]
) -> None:
    await decide(asking)
    assert (await confirm(asking, "stripe", "--yes")).code == EXIT_USAGE
    assert "To ask again needs a reason" in capsys.readouterr().err
    assert (await confirm(asking, "closed", *YES)).code == EXIT_WRONG
    assert "The API of source 'closed' is not asked" in capsys.readouterr().err
    await asking.workers.connection.execute("DELETE FROM payloads WHERE event_id = 'evt_1'")
    said = await confirm(asking, "stripe", "--json", *YES)
    assert said.json == {"source": "stripe", "events": {"not_found": 1}, "not_kept": 1, "asked_again": 1}
    assert await asking.states() == {"evt_1": "not_found", "evt_2": "due", "evt_r1": "confirmed"}
