"""Mollie's lists of payments, refunds and chargebacks, and whose key it is."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.api import ApiRefusedError, ApiUnexpectedError, Window
from providers.apis import AccessError
from providers.mollie import api as mollie_api
from providers.mollie.api import PAGE_ITEMS
from providers.mollie.models import FETCHED_PAYMENT
from tests.support.asking_mollie import DAY, access, asking, everything, listed_facts
from tests.support.stand_ins.mollie import KEY, PROFILE, TEST_KEY, MollieStandIn, authorized_first, euros, part, payment
from tests.support.stand_ins.stand_in import status, text


@pytest.fixture
async def stand_in() -> AsyncIterator[MollieStandIn]:
    async with MollieStandIn().serving() as server:
        yield server


async def test_the_list_has_payments_refunds_and_chargebacks_of_the_window(stand_in: MollieStandIn) -> None:
    stand_in.add(
        payment("tr_1"), authorized_first("tr_2"), payment("tr_3", "2026-11-19T23:59:59+00:00"),
        payment("tr_4", "2026-11-21T00:00:00+00:00"), payment("tr_5", "2026-11-20T00:00:00.0Z", status="open"),
        part("cpt_1", "tr_2", "20.00", "succeeded"), part("re_1", "tr_3", "5.00", "refunded"),
        part("re_2", "tr_3", "5.00", "queued"), part("chb_1", "tr_3", "5.00", None),
    )  # fmt: skip
    async with asking(stand_in, "mollie") as api:
        listed = {each.parsed.event_id.split(":")[1]: each for each in await everything(api)}
    facts = {id_: [(fact.kind, fact.object) for fact in listed_facts(each)] for id_, each in listed.items()}
    assert facts == {
        "tr_1": [("captured", "tr_1")], "tr_2": [("authorized", ""), ("captured", "cpt_1")], "tr_5": [],
        "re_1": [("refunded", "re_1")], "re_2": [],
        "chb_1": [("dispute_opened", "chb_1"), ("funds_withdrawn", "chb_1")],
    }  # fmt: skip
    assert {listed[id_].parsed.resource for id_ in ("re_1", "re_2", "chb_1")} == {"tr_3"}
    assert (listed["tr_1"].parsed.account, listed["tr_1"].parsed.mode) == (PROFILE, "live")
    assert listed["tr_1"].parsed.type == FETCHED_PAYMENT


async def test_what_is_listed_is_booked_under_the_account_that_deliveries_name(stand_in: MollieStandIn) -> None:
    stand_in.add(payment("tr_1"))
    async with asking(stand_in, "mollie_classic") as api:
        (listed,) = await everything(api)
    assert listed.parsed.account == ""


async def test_the_same_state_has_the_same_id(stand_in: MollieStandIn) -> None:
    stand_in.add(payment("tr_1", status="open"))
    async with asking(stand_in) as api:
        before, again = await everything(api), await everything(api)
        stand_in.add(payment("tr_1"))
        after = await everything(api)
    assert before[0].parsed.event_id == again[0].parsed.event_id != after[0].parsed.event_id


def crowd(count: int) -> list[dict[str, Any]]:
    began = datetime(2026, 11, 20, tzinfo=UTC)
    return [payment(f"tr_{number}", (began + timedelta(minutes=number)).isoformat()) for number in range(1, count + 1)]


async def test_a_list_is_read_to_the_end_of_the_window_and_no_further(stand_in: MollieStandIn) -> None:
    stand_in.add(*crowd(5 * PAGE_ITEMS))
    began = datetime(2026, 11, 20, tzinfo=UTC)
    window = Window(began + timedelta(minutes=3 * PAGE_ITEMS), began + timedelta(minutes=4 * PAGE_ITEMS))
    async with asking(stand_in) as api:
        found = {each.parsed.resource for each in await everything(api, window)}
        pages = [each for each in stand_in.requests if each.path == "/v2/payments"]
        stand_in.requests.clear()
        before = Window(window.since - timedelta(minutes=10), window.since)
        older = {each.parsed.resource for each in await everything(api, before)}
    assert found == {f"tr_{number}" for number in range(3 * PAGE_ITEMS, 4 * PAGE_ITEMS)}
    assert len(pages) == 4
    assert older == {f"tr_{number}" for number in range(3 * PAGE_ITEMS - 10, 3 * PAGE_ITEMS)}
    assert len([each for each in stand_in.requests if each.path == "/v2/payments"]) == 2  # it began where it knew to


async def test_a_payment_that_is_made_while_the_list_is_read_moves_no_page(stand_in: MollieStandIn) -> None:
    stand_in.add(*crowd(2 * PAGE_ITEMS))
    async with asking(stand_in) as api:
        pages = api.list_payments(DAY)
        found = {each.parsed.resource for each in await anext(pages)}
        stand_in.add(payment("tr_new", "2026-11-21T10:00:00+00:00"))
        found |= {each.parsed.resource async for page in pages for each in page}
    assert found == {f"tr_{number}" for number in range(1, 2 * PAGE_ITEMS + 1)}


@pytest.mark.parametrize("href", ["https://evil.example/v2/payments", "https://evil.example/?from=../x", 5, "http://["])
async def test_the_next_page_is_an_id_and_never_an_address(stand_in: MollieStandIn, href: object) -> None:
    page = {"_embedded": {"payments": [payment("tr_1")]}, "_links": {"next": {"href": href}}}
    async with asking(stand_in) as api:
        stand_in.mishaps.append(text(json.dumps(page).encode()))
        with pytest.raises(ApiUnexpectedError, match="next page"):
            await everything(api)
    assert len(stand_in.requests) == 1


async def test_a_list_without_an_end_is_left(stand_in: MollieStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mollie_api, "PAGES_MAX", 2)
    stand_in.add(*crowd(3 * PAGE_ITEMS))
    async with asking(stand_in) as api:
        with pytest.raises(ApiUnexpectedError, match="more than 2 pages"):
            await everything(api, Window(DAY.since, DAY.until + timedelta(days=9)))


async def test_the_check_names_the_profile(stand_in: MollieStandIn) -> None:
    async with asking(stand_in) as api:
        assert await api.check() == "a profile in mode live"
        stand_in.add(payment("tr_1", amount=euros("1.00")))
        assert await api.check() == f"profile {PROFILE}, live"
        stand_in.mishaps.append(status(401))
        with pytest.raises(ApiRefusedError):
            await api.check()


@pytest.mark.parametrize(
    ("key", "mode", "sentence"),
    [
        (KEY, "test", "key of mode live"), (TEST_KEY, "live", "key of mode test"),
        ("access_" + "a" * 30, "live", "no API key"), ("live_a b", "live", "no API key"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_right_stops_the_start(key: str, mode: str, sentence: str) -> None:
    with pytest.raises(AccessError, match=sentence) as error:
        access(api_key=key, mode=mode)
    assert key not in str(error.value)
