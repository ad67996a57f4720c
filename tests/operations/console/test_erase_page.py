"""Personal data is counted and erased in the console, by the role money."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.console import RunningConsole, running_console
from tests.support.operator_commands import STOPPED, TRANSFERS, Operator, captured, refunded

LOG = "SELECT actor, face, action, subject, reason FROM operations ORDER BY id"
ARCHIVE = "SELECT archive_{}(now() + interval '400 days', 0, 1000, interval '0')"
AT = re.compile("the newest first, at .*")
PAYLOADS = "SELECT event_id FROM payloads ORDER BY event_id"


@pytest_asyncio.fixture
async def pages(operator: Operator) -> AsyncIterator[RunningConsole]:
    async with running_console(operator.settings) as running:
        yield running


async def test_a_payment_is_erased_from_its_page(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_1"), captured(900, "evt_2", "pi_2"))
    before = await operator.rows(TRANSFERS)
    link = "/erase?payment=stripe%2Fpi_1"
    assert f'href="{link}"' in (await pages.money.get("/payments/stripe/pi_1")).text
    assert "/erase?event=stripe%2Fevt_1" in (await pages.money.get("/events/stripe/evt_1")).text
    assert "/erase" not in (await pages.operator.get("/payments/stripe/pi_1")).text
    form = {"payment": "stripe/pi_1"}
    assert "the payloads of 1 event" in (await pages.money.get("/erase", form)).text
    done = await pages.money.post("/erase", form | {"reason": "ticket 42"})
    assert "Erased: the payloads of 1 event and 0 dead letters." in done.text
    assert await operator.rows(PAYLOADS) == [("evt_2",)]
    assert await operator.rows(TRANSFERS) == before
    assert await operator.rows(LOG) == [("mona", "console", "erase", "payment:stripe/pi_1", "ticket 42")]
    assert "Nothing of it is kept" in (await pages.money.get("/erase", form)).text


async def test_an_erased_event_and_its_payment_say_so(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_1"))
    assert "erased" not in (await pages.viewer.get("/events/stripe/evt_1")).text
    await pages.money.post("/erase", {"payment": "stripe/pi_1", "reason": "ticket 42"})
    event = (await pages.viewer.get("/events/stripe/evt_1")).text
    assert "What it reports is not known: its bytes were erased." in event
    assert 'Its bytes were erased: the <a href="#timeline">timeline</a> has who did it, and why.' in event
    for page in (event, (await pages.viewer.get("/payments/stripe/pi_1")).text):
        assert "its body and headers, by mona in the console: ticket 42" in page
        assert "(act 1 in the log)" in page
        assert "7.00 EUR" in page
    assert (await pages.operator.get("/bodies/stripe/evt_1")).status == 404


async def test_an_event_whose_payload_was_dropped_says_so(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_1"))
    await operator.connection.execute("DELETE FROM payloads")
    event = (await pages.viewer.get("/events/stripe/evt_1")).text
    assert "Its bytes are not kept any more: payloads are dropped after PAYLOADS_KEPT_DAYS." in event
    assert "erased" not in event


async def test_pages_of_archived_ones_are_as_before(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_1"), refunded(100, "evt_2"))
    paths = ("/events/stripe/evt_1", "/payments/stripe/pi_1", "/erase?payment=stripe%2Fpi_1", "/bodies/stripe/evt_1")
    before = [AT.sub("", (await pages.money.get(path)).text) for path in paths]
    for table in ("events", "payments"):
        await operator.connection.execute(ARCHIVE.format(table))
    for path, page in zip(paths, before, strict=True):
        assert AT.sub("", (await pages.money.get(path)).text) == page


async def test_what_must_stay_is_refused_with_a_sentence(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(*STOPPED)
    assert "is in an open conflict" in (await pages.money.get("/erase", {"payment": "pi_1"})).text
    refused = await pages.money.post("/erase", {"payment": "pi_1", "reason": "ticket 42"})
    assert (refused.status, await operator.rows(LOG)) == (409, [])
    assert "No event nobody" in (await pages.money.get("/erase", {"event": "nobody"})).text


@pytest.mark.parametrize(("form", "status"), [({"payment": "pi_1"}, 400), ({"reason": "x"}, 400)])
async def test_it_needs_a_reason_and_a_name(
    operator: Operator, pages: RunningConsole, form: dict[str, str], status: int
) -> None:
    await operator.apply(captured(700, "evt_1"))
    assert (await pages.money.post("/erase", form)).status == status
    assert await operator.rows(PAYLOADS) == [("evt_1",)]


async def test_only_somebody_with_the_role_money_erases(operator: Operator, pages: RunningConsole) -> None:
    await operator.apply(captured(700, "evt_1"))
    for who in (pages.viewer, pages.operator):
        assert (await who.get("/erase", {"payment": "pi_1"})).status == 403
        assert (await who.post("/erase", {"payment": "pi_1", "reason": "x"})).status == 403
    assert await operator.rows(PAYLOADS) == [("evt_1",)]
