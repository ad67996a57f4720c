"""Dead letters are grouped, listed, replayed and discarded in the console."""

from typing import Any
from urllib.parse import urlencode

import asyncpg
import pytest

from consumers.store import dead_letter
from operations import bulk
from operations.console.pages import dead, dead_acts
from operations.dead_letter_groups import Group, group_dead_letters, list_group
from tests.support.console import RunningConsole
from tests.support.events import contract_event
from tests.support.hostile_texts import HOSTILE, HOSTILE_REASON, assert_harmless
from tests.support.stream_states import Stream

STATES = "SELECT state, count(*) FROM dead_letters GROUP BY state ORDER BY state"
LOG = "SELECT actor, face, action, reason FROM operations ORDER BY id"


@pytest.fixture(name="letters")
def a_way_to_make_dead_letters(stream: Stream, connection: asyncpg.Connection) -> "Letters":
    return Letters(stream, connection)


class Letters:
    def __init__(self, stream: Stream, connection: asyncpg.Connection) -> None:
        self.stream, self.connection = stream, connection
        self.made = 0

    async def add(self, *reasons: str, **changes: Any) -> list[int]:
        numbers = []
        for reason in reasons:
            self.made += 1
            await self.stream.publish(contract_event(f"evt_{self.made}", f"pi_{self.made}", **changes))
            (entry,) = await self.stream.read("worker-1")
            numbers.append(await self.stream.dead_letter(self.connection, entry, reason))
        return numbers

    async def states(self) -> dict[str, int]:
        return {row[0]: row[1] for row in await self.connection.fetch(STATES)}


async def test_dead_letters_are_grouped_by_what_their_reasons_share(
    console: RunningConsole, letters: Letters, connection: asyncpg.Connection
) -> None:
    assert "No dead letter is open." in (await console.viewer.get("/dead")).text
    await letters.add("Reject: order 17 of pi_1 is unknown", "Reject: order 18 of pi_2 is unknown", "KeyError: 'id'")
    await letters.add("Reject: order 3 of pi_3 is unknown", source="other")
    groups = await group_dead_letters(connection)
    assert [(each.group.source, each.group.reason, each.dead_letters) for each in groups.counts] == [
        ("stripe", "Reject: order … of … is unknown", 2),
        ("other", "Reject: order … of … is unknown", 1),
        ("stripe", "KeyError: 'id'", 1),
    ]
    for each in groups.counts:
        assert len(await list_group(connection, each.group, limit=9)) == each.dead_letters
    page = await console.viewer.get("/dead")
    assert "4 events could not be applied" in page.text
    assert "/dead?group=Reject%3A" in page.text
    listed = await console.viewer.get("/dead", {"group": "Reject: order … of … is unknown", "source": "stripe"})
    assert "order 17" in listed.text
    assert "order 18" in listed.text
    assert "order 3 " not in listed.text


async def test_a_query_that_may_mean_something_else_keeps_its_text_and_says_so(
    console: RunningConsole, letters: Letters
) -> None:
    await letters.add("Reject: no price list")
    unquoted = await console.operator.post("/dead/replay", {"query": "reason:no price list"})
    for text in ("Words without a qualifier are ids.", 'value="reason:no price list"', "Nothing matches", 'id="help"'):
        assert text in unquoted.text, text
    assert "Words without a qualifier" in (await console.viewer.get("/events", {"query": "reason:no price list"})).text
    broken = await console.operator.post("/dead/discard", {"query": "colour:red"})
    assert broken.status == 400
    for text in ("There is no qualifier", 'value="colour:red"', 'id="help"', 'action="/dead/discard"'):
        assert text in broken.text, text
    asked = await console.operator.post("/dead/replay", {"query": 'reason:"no price list"'})
    for text in ("Reject: no price list", "/events/stripe/evt_1", "/payments/stripe/pi_1"):
        assert text in asked.text, text
    form = {"query": 'reason:"no price list"', "shown": "1", "confirm": "yes", "reason": "there is one now"}
    done = await console.operator.post("/dead/replay", form)
    for text in ("workers try them now", "query=event%3A%22evt_1%22", '<a href="/events/stripe/evt_1">', "autofocus"):
        assert text in done.text, text


async def test_what_is_left_out_of_the_groups_is_said(letters: Letters, connection: asyncpg.Connection) -> None:
    await letters.add("a", "b", "b")
    groups = await group_dead_letters(connection, limit=1, rows_max=2)
    assert (groups.open, groups.grouped, groups.groups, len(groups.counts)) == (3, 2, 2, 1)


async def test_a_list_is_shown_in_pages_by_key(
    console: RunningConsole, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "DEAD_LETTERS_PER_PAGE", 2)
    numbers = await letters.add("a", "a", "a")
    first = await console.viewer.get("/dead", {"all": "1"})
    assert f"after={numbers[1]}" in first.text
    assert "evt_3" not in first.text
    second = await console.viewer.get("/dead", {"group": "a", "source": "stripe", "after": str(numbers[1])})
    assert "evt_3" in second.text
    assert "evt_2" not in second.text


async def test_an_entry_that_is_not_an_envelope_has_a_group_and_a_page(
    console: RunningConsole, stream: Stream, connection: asyncpg.Connection
) -> None:
    await stream.publish_fields(["v", "9"])
    (entry,) = await stream.read("worker-1")
    await dead_letter(connection, entry, "not an envelope", "Traceback: deep inside")
    (each,) = (await group_dead_letters(connection)).counts
    assert each.group == Group(None, "not an envelope")
    assert "not an envelope" in (await console.viewer.get("/dead", {"group": "not an envelope"})).text
    assert "deep inside" in (await console.operator.get("/dead/1")).text
    assert "deep inside" not in (await console.viewer.get("/dead/1")).text
    assert (await console.viewer.get("/dead/2")).status == 404


async def test_the_chosen_are_replayed_after_a_page_that_says_how_many(
    console: RunningConsole, letters: Letters, connection: asyncpg.Connection
) -> None:
    numbers = await letters.add("a", "a", "b")
    form = [("ids", str(number)) for number in numbers[:2]]
    asked = await post(console, "/dead/replay", form)
    assert "Replay 2 dead letters?" in asked
    assert await letters.states() == {"open": 3}
    assert await connection.fetchval("SELECT count(*) FROM operations") == 0
    done = await post(console, "/dead/replay", [*form, ("confirm", "yes"), ("reason", "the order exists now")])
    assert "<b>2</b> added to the stream again" in done
    assert await letters.states() == {"open": 1, "replayed": 2}
    assert {tuple(row)[:2] + tuple(row)[3:] for row in await connection.fetch(LOG)} == {
        ("olga", "console", "the order exists now")
    }
    again = await post(console, "/dead/replay", [*form, ("confirm", "yes"), ("reason", "x")])
    assert "<b>2</b> somebody closed it before" in again


async def test_all_that_match_a_query_are_discarded_but_none_that_came_later(
    console: RunningConsole, letters: Letters
) -> None:
    numbers = await letters.add("timeout of db", "timeout of db", "other")
    query = ("query", 'reason:"timeout"')
    asked = await post(console, "/dead/discard", [query])
    assert "Discard 2 dead letters?" in asked
    assert f'name="shown" value="{numbers[0]} {numbers[1]}"' in asked
    await letters.add("timeout of db")
    fields = [
        query,
        ("shown", f"{numbers[0]} {numbers[1]}"),
        ("confirm", "yes"),
        ("reason", "customers paid otherwise"),
    ]
    assert "<b>2</b> discarded" in await post(console, "/dead/discard", fields)
    assert await letters.states() == {"discarded": 2, "open": 2}


async def test_what_matches_only_after_the_page_was_shown_is_not_touched(
    console: RunningConsole, letters: Letters, connection: asyncpg.Connection
) -> None:
    numbers = await letters.add("a", "a", "b")
    for older in numbers[:2]:
        await connection.execute("UPDATE dead_letters SET died_at = now() - interval '2 h' WHERE id = $1", older)
    form = [("query", "status:dead until:1h"), ("confirm", "yes"), ("reason", "x")]
    assert "Discard 2 dead letters?" in await post(console, "/dead/discard", form), "nothing was shown before"
    assert "Discard 2 dead letters?" in await post(console, "/dead/discard", [*form, ("shown", " ")])
    shown = ("shown", f"{numbers[1]} {numbers[2]}")  # the first matches as well, the last does not
    assert "<b>1</b> discarded" in await post(console, "/dead/discard", [*form, shown])
    assert await letters.states() == {"discarded": 1, "open": 2}


async def test_a_whole_group_is_replayed_up_to_the_limit(
    console: RunningConsole, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    await letters.add("order 1", "order 2", "order 3", "else")
    path = "/dead/replay?group=order+%E2%80%A6&source=stripe"
    asked = await post(console, path, [])
    assert "Replay 3 dead letters?" in asked
    assert 'action="/dead/replay?group=order+%E2%80%A6&amp;source=stripe"' in asked
    monkeypatch.setattr(dead_acts, "BULK_MAX", 2)
    asked = await post(console, path, [])
    assert "Replay 2 dead letters?" in asked
    assert "There are more: the oldest 2" in asked
    done = await post(console, path, [("confirm", "yes"), ("reason", "x"), ("shown", "1 2")])
    assert "<b>2</b> added to the stream again" in done


async def test_a_viewer_may_not_act_by_posting_either(console: RunningConsole, letters: Letters) -> None:
    (number,) = await letters.add("a")
    for path in ("/dead/replay", "/dead/discard"):
        for form in ({"ids": str(number)}, {"ids": str(number), "confirm": "yes", "reason": "x"}):
            assert (await console.viewer.post(path, form)).status == 403
    assert await letters.states() == {"open": 1}
    assert "<button>Replay" not in (await console.viewer.get("/dead", {"all": "1"})).text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 400),
        ({"ids": "x"}, 400),
        ({"ids": "1 OR 1=1"}, 400),
        ({"ids": "1", "confirm": "yes"}, 400),
        ({"ids": "1", "confirm": "yes", "reason": " "}, 400),
        ({"query": "colour:red"}, 400),
        ({"query": "status:applied"}, 400),
        ({"query": "status:dead", "shown": "x"}, 400),
        ({"query": "event:nothing"}, 200),
        ({"ids": "1"}, 200),
    ],
)
async def test_a_form_with_something_missing_changes_nothing(
    console: RunningConsole, letters: Letters, form: dict[str, str], status: int
) -> None:
    await letters.add("a")
    assert (await console.operator.post("/dead/replay", form)).status == status
    assert await letters.states() == {"open": 1}


async def test_a_query_that_matches_too_many_is_refused_with_a_sentence(
    console: RunningConsole, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BULK_MAX", 1)
    await letters.add("a", "a")
    page = await console.operator.post("/dead/replay", {"query": "status:dead"})
    assert page.status == 400
    assert "more than 1" in page.text


async def test_personal_data_in_a_reason_is_masked_for_viewers(console: RunningConsole, letters: Letters) -> None:
    await letters.add("Reject: no customer jo@example.org")
    for path, query in (("/dead", None), ("/dead", {"all": "1"}), ("/dead/1", None)):
        assert "jo@example.org" not in (await console.viewer.get(path, query)).text
    assert "jo@example.org" in (await console.operator.get("/dead/1")).text


async def test_what_senders_write_is_escaped(console: RunningConsole, letters: Letters) -> None:
    await letters.stream.publish(contract_event(HOSTILE, HOSTILE, type=HOSTILE))
    (entry,) = await letters.stream.read("worker-1")
    await letters.stream.dead_letter(letters.connection, entry, f"<script>alert()</script> {HOSTILE_REASON}")
    groups = await group_dead_letters(letters.connection)
    group = {"group": groups.counts[0].group.reason, "source": "stripe"}
    for query in (None, {"all": "1"}, group):
        assert_harmless((await console.operator.get("/dead", query)).text)
    assert_harmless((await console.operator.get("/dead/1")).text)
    form = {"ids": "1", "reason": HOSTILE.replace("\u202e", "").replace("\u2066", "").replace("\u200b", "")}
    asked = (await console.operator.post("/dead/replay", form)).text
    assert "&lt;script&gt;" in asked
    assert "<script>alert" not in asked
    assert_harmless((await console.operator.post("/dead/replay", form | {"confirm": "yes"})).text)


async def post(console: RunningConsole, path: str, fields: list[tuple[str, str]]) -> str:
    """Post a form in which a name may be repeated, as the operator, and return the page."""
    page = await console.operator.request(
        "POST", path, data=urlencode(fields).encode(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert page.status == 200, page.text
    return page.text


async def test_all_on_a_page_are_chosen_by_a_link(
    console: RunningConsole, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "DEAD_LETTERS_PER_PAGE", 2)
    numbers = await letters.add("a", "a", "a")
    page = (await console.operator.get("/dead", {"all": "1"})).text
    assert "/dead?all=1&amp;after=0&amp;chosen=all#list" in page
    assert " checked" not in page
    chosen = (await console.operator.get("/dead", {"all": "1", "after": "0", "chosen": "all"})).text
    assert [f'value="{number}"' in chosen for number in numbers] == [True, True, False]
    assert chosen.count(" checked>") == 2
    assert "Choose none" in chosen
    assert "chosen=all" not in (await console.viewer.get("/dead", {"all": "1"})).text


async def test_one_that_is_discarded_from_a_page_is_one_row_of_the_log(
    console: RunningConsole, letters: Letters, connection: asyncpg.Connection
) -> None:
    (number,) = await letters.add("a")
    await post(console, "/dead/discard", [("ids", str(number)), ("confirm", "yes"), ("reason", "paid by hand")])
    assert [tuple(row) for row in await connection.fetch(LOG)] == [("olga", "console", "discard", "paid by hand")]
