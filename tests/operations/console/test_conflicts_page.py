"""Conflicts and money on hold are shown and decided in the console."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from operations.console.pages import conflicts
from tests.support.console import Page, RunningConsole, running_console
from tests.support.hostile_texts import HOSTILE, assert_harmless
from tests.support.operator_commands import HELD, PAYMENTS, STOPPED, TRANSFERS, Operator, captured, refunded, unsigned


async def decide(pages: RunningConsole, number: str, keep: str, reason: str) -> Page:
    """Decide as a person does: the first page asks whether that is meant."""
    form = {"keep": keep, "reason": reason}
    asked = await pages.money.post(f"/conflicts/{number}/resolve", form)
    assert asked.status == 200, asked.text
    return await pages.money.post(f"/conflicts/{number}/resolve", form | {"shown": read_digest(asked)})


def read_digest(page: Page) -> str:
    """Return what the form sends to say what it showed."""
    found = re.search(r'name="shown" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


LOG = "SELECT actor, face, action, subject, reason FROM operations ORDER BY id"


@pytest_asyncio.fixture
async def pages(operator: Operator) -> AsyncIterator[RunningConsole]:
    """A console with the operator's handlers and sources file."""
    async with running_console(operator.settings) as running:
        yield running


async def test_a_conflict_is_compared_decided_and_logged(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(*STOPPED)
    listed = await pages.viewer.get("/conflicts")
    for text in ("1 conflict is open", "7.00 EUR", "8.00 EUR", "evt_800", '/conflicts/1"', "a conflict stops"):
        assert text in listed.text
    page = await pages.money.get("/conflicts/1")
    assert page.text.count("1 event says so:") == 2
    for text in ("Booked: 7.00 EUR", "Booked by <a class",
                 "If what is booked is right: 7.00 EUR", "If the report is right: 8.00 EUR", "undone:1", "decided:1",
                 "4 transfers would be added", "2 transfers would be added", "Book what was reported",
                 "<b>(now 8.00 EUR)</b>"):  # fmt: skip
        assert text in page.text
    done = await decide(pages, "1", "reported", "the provider confirmed it")
    assert done.status == 200
    assert "moves again" in done.text
    assert ("decided:1" in str(await operator.rows(TRANSFERS))) is True
    assert await operator.rows(LOG) == [
        ("mona", "console", "resolve", "payment:stripe/pi_1", "the provider confirmed it")
    ]  # fmt: skip
    again = await pages.money.post("/conflicts/1/resolve", {"keep": "booked", "reason": "no, the other way"})
    for text in ("decided already", "mona (console)", "the provider confirmed it", "undone:1", "decided:1",
                 "refund:re_1", "Reported otherwise: 8.00 EUR", "evt_800", "act 1 in the log"):  # fmt: skip
        assert text in again.text, text
    assert "No conflict is open." in (await pages.viewer.get("/conflicts")).text
    await operator.assert_sound()


async def test_a_decision_asks_before_it_is_made_and_again_if_the_payment_changed(
    operator: Operator, pages: RunningConsole
) -> None:
    await operator.apply(*STOPPED)
    before = await operator.rows(TRANSFERS)
    form = {"keep": "reported", "reason": "ticket 4711"}
    asked = await pages.money.post("/conflicts/1/resolve", form)
    for text in ("Handlers are not called again", "This is final", 'value="ticket 4711"', "decided:1",
                 "reverses what was booked", "4 transfers would be added"):  # fmt: skip
        assert text in asked.text, text
    assert await operator.rows(TRANSFERS) == before
    await operator.apply(refunded(50, "evt_r3", "re_3"))
    again = await pages.money.post("/conflicts/1/resolve", form | {"shown": read_digest(asked)})
    assert "the payment has changed since you looked" in again.text
    assert await operator.rows(TRANSFERS) == before
    assert await operator.rows(LOG) == []
    done = await pages.money.post("/conflicts/1/resolve", form | {"shown": read_digest(again)})
    assert "is decided" in done.text


async def test_only_somebody_with_the_role_money_decides_and_releases(
    operator: Operator, pages: RunningConsole
) -> None:
    await operator.apply(*STOPPED, *unsigned(captured(700, "evt_2", "pi_2")))
    before = await operator.rows(TRANSFERS)
    for client in (pages.viewer, pages.operator):
        assert "Somebody with the role money decides." in (await client.get("/conflicts/1")).text
        for path, form in (
            ("/conflicts/1/resolve", {"keep": "booked", "reason": "x"}),
            ("/conflicts/release", {"source": "stripe", "reason": "x"}),
        ):
            assert (await client.post(path, form)).status == 403
    assert (await pages.stranger.post("/conflicts/1/resolve", {"keep": "booked", "reason": "x"})).status in (303, 401)
    assert await operator.rows(TRANSFERS) == before
    assert await operator.rows(LOG) == []


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/conflicts/1/resolve", {"keep": "booked"}),
        ("/conflicts/1/resolve", {"keep": "booked", "reason": "  "}),
        ("/conflicts/1/resolve", {"keep": "booked", "reason": "a\nb"}),
        ("/conflicts/1/resolve", {"keep": "both", "reason": "x"}),
        ("/conflicts/x/resolve", {"keep": "booked", "reason": "x"}),
        ("/conflicts/99999999999999999999/resolve", {"keep": "booked", "reason": "x"}),
        ("/conflicts/release", {"source": "stripe"}),
    ],
)
async def test_a_form_with_something_missing_does_nothing(
    operator: Operator, pages: RunningConsole, path: str, form: dict[str, str]
) -> None:
    await operator.apply(*STOPPED)
    assert (await pages.money.post(path, form)).status == 400
    assert await operator.rows(LOG) == []


async def test_the_page_of_an_event_says_that_its_payment_has_a_conflict(
    operator: Operator, pages: RunningConsole
) -> None:
    await operator.apply(*STOPPED)
    page = (await pages.viewer.get("/events/stripe/evt_800")).text
    for text in ("<strong>applied</strong>", "its payment has an open conflict", 'href="/conflicts/1"'):
        assert text in page, text


async def test_an_audit_shows_amounts_as_elsewhere_and_links(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(*STOPPED)
    page = (await pages.operator.post("/audit")).text
    for text in (
        "7.00 EUR",
        "8.00 EUR",
        ">Booked amount<",
        '<a href="/payments/stripe/pi_1">',
        "/events/stripe/evt_800",
    ):
        assert text in page, text


async def test_a_number_that_nothing_has_is_not_found(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(*STOPPED)
    assert (await pages.viewer.get("/conflicts/2")).status == 404
    assert (await pages.viewer.get("/conflicts/0")).status == 404


async def test_a_list_of_conflicts_is_shown_in_pages(
    operator: Operator, pages: RunningConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflicts, "CONFLICTS_PER_PAGE", 1)
    await operator.apply(*STOPPED, captured(1, "evt_a", "pi_2"), captured(2, "evt_b", "pi_2"))
    first = await pages.viewer.get("/conflicts")
    assert "after=1" in first.text
    assert "evt_b" not in first.text
    assert "evt_b" in (await pages.viewer.get("/conflicts", {"after": "1"})).text


async def test_a_release_shows_each_payment_before_and_after(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1"), refunded(200, "evt_2")), captured(500, "evt_3", "pi_2"))
    await operator.apply(*unsigned(captured(900, "evt_4", "pi_2")))
    before = await operator.rows(TRANSFERS), await operator.rows(HELD)
    listed = (await pages.viewer.get("/conflicts")).text
    assert "captured 16.00 EUR, refunded 2.00 EUR" in listed
    assert 'href="/conflicts/release?source=stripe"' in listed
    assert "captured 16.00 EUR, refunded 2.00 EUR" in (await pages.viewer.get("/")).text
    operator.trust('[stripe]\nprovider = "stripe"\n')
    for text in (
        " is &#34;signed&#34;",
        "nothing is recorded yet",
        "9.00 EUR <b>(now 5.00 EUR)</b>",
        "refund:re_1",
        "1 conflict would be found",
    ):
        assert text in (await pages.money.get("/conflicts/release", {"source": "stripe"})).text, text
    operator.trust()
    assert "Release 3 events" in (await pages.money.get("/conflicts/release", {"source": "stripe"})).text
    assert "Somebody with the role money" in (await pages.operator.get("/conflicts/release", {"source": "stripe"})).text
    assert "Nothing is on hold" in (await pages.money.get("/conflicts/release", {"source": "x"})).text
    assert (await operator.rows(TRANSFERS), await operator.rows(HELD)) == before
    assert await operator.rows(LOG) == []


async def test_money_in_conflicts_is_added_up_by_currency(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_a"), captured(800, "evt_b"), captured(900, "evt_c"))
    await operator.apply(captured(10, "evt_d", "pi_2", currency="jpy"), captured(11, "evt_e", "pi_2", currency="jpy"))
    for path in ("/", "/conflicts"):
        page = (await pages.viewer.get(path)).text
        assert "7.00 EUR + 10 JPY booked, 17.00 EUR + 11 JPY reported" in page, path


async def test_money_on_hold_is_released_once_its_source_is_trusted(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1"), refunded(200, "evt_2")))
    listed = (await pages.viewer.get("/conflicts")).text
    assert "their signature does not cover the money" in listed
    form = {"source": "stripe", "reason": "checked by hand"}
    operator.trust('[stripe]\nprovider = "stripe"\n')
    assert "Compare and release" not in listed
    refused = await pages.money.post("/conflicts/release", form)
    assert refused.status == 409
    assert "The trust of source &#39;stripe&#39; is &#34;signed&#34;" in refused.text
    unknown = await pages.money.post("/conflicts/release", form | {"source": "x"})
    assert "has no source" in unknown.text
    operator.trust()
    assert "Compare and release stripe" in (await pages.viewer.get("/conflicts")).text
    done = await pages.money.post("/conflicts/release", form)
    assert "2 events released; 2 transfers booked." in done.text
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 200)]
    assert await operator.rows(LOG) == [("mona", "console", "release", "source:stripe", "checked by hand")]


async def test_what_senders_write_is_escaped(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_1", HOSTILE), captured(800, HOSTILE, HOSTILE))
    for path in ("/conflicts", "/conflicts/1"):
        assert_harmless((await pages.money.get(path)).text)
    assert_harmless((await pages.money.post("/conflicts/1/resolve", {"keep": "reported", "reason": "x"})).text)
    assert_harmless((await decide(pages, "1", "reported", HOSTILE)).text)
    assert_harmless((await pages.money.get("/operations")).text)
