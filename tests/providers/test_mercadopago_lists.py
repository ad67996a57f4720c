"""Mercado Pago's lists of payments and orders, whose account is asked for, and what its own package makes of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mercadopago
import pytest
from mercadopago.config.config import Config

from gateway.sources import SourcesError, load_sources
from providers.api import ApiRefusedError, ApiUnavailableError, ApiUnexpectedError, Window
from providers.apis import AccessError
from providers.mercadopago.answers import MARGIN, between
from providers.mercadopago.api import PAGE_ITEMS, SEARCH_ITEMS_MAX
from providers.mercadopago.models import FETCHED_ORDER, FETCHED_PAYMENT
from tests.support.asking_mercadopago import DAY, PAID, access, asking, everything, listed_facts, notified
from tests.support.stand_ins.mercadopago import (
    ACCOUNT,
    TEST_TOKEN,
    TOKEN,
    MercadoPagoStandIn,
    chargeback,
    order,
    payment,
    refund,
)
from tests.support.stand_ins.stand_in import status, text


@pytest.fixture
async def stand_in() -> AsyncIterator[MercadoPagoStandIn]:
    async with MercadoPagoStandIn().serving() as server:
        yield server


async def test_the_list_has_payments_that_changed_with_their_refunds(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(
        payment(1),
        payment(2, transaction_amount_refunded=58.8, status="refunded"),
        payment(3, "2026-11-19T23:59:59.999Z"),
        payment(4, "2026-11-21T00:00:00.000Z"),
        payment(5, operation_type="money_transfer"),
    )
    stand_in.refunds = [refund(7, 2, 58.8)]
    async with asking(stand_in) as api:
        first, second = await everything(api)
        (again,) = await api.fetch_payment("1")
    assert (first.parsed.resource, listed_facts(first)) == ("1", [PAID])
    assert [fact.kind for fact in listed_facts(second)] == ["captured", "refunded", "refunded_total"]
    assert first.parsed.occurred_at == datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert (first.parsed.type, first.parsed.mode, first.parsed.account) == (FETCHED_PAYMENT, "live", ACCOUNT)
    assert first.parsed.event_id == again.parsed.event_id
    assert first.parsed.event_id.startswith("reconcile:1:")


async def test_another_state_has_another_id(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(payment(1, status="pending"))
    async with asking(stand_in) as api:
        (before,) = await api.fetch_payment("1")
        stand_in.add(payment(1))
        (after,) = await api.fetch_payment("1")
    assert before.parsed.event_id != after.parsed.event_id


def crowd(count: int) -> list[dict[str, Any]]:
    began = datetime(2026, 11, 20, tzinfo=UTC)
    return [
        payment(number, (began + timedelta(seconds=number * 30)).isoformat(timespec="milliseconds"))
        for number in range(1, count + 1)
    ]


async def test_a_window_with_many_is_searched_in_halves(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(*crowd(SEARCH_ITEMS_MAX + PAGE_ITEMS))
    async with asking(stand_in) as api:
        found = [int(listed.parsed.resource) for listed in await everything(api)]
    assert sorted(set(found)) == list(range(1, SEARCH_ITEMS_MAX + PAGE_ITEMS + 1))
    assert max(int(each.query["offset"]) for each in stand_in.requests) < SEARCH_ITEMS_MAX


def test_a_search_is_not_shorter_than_its_window() -> None:
    """Times of a search have milliseconds, those of halved windows more; and its ends may not belong to it."""
    since, until = datetime(2026, 11, 20, 0, 0, 0, 1500, tzinfo=UTC), datetime(2026, 11, 20, 0, 0, 1, 2500, tzinfo=UTC)
    assert between(Window(since, until)) == {
        "begin_date": "2026-11-20T00:00:00.000Z", "end_date": "2026-11-20T00:00:01.003Z",
    }  # fmt: skip


@pytest.mark.parametrize("to", ["2026-11-22T00:00:00.000Z", "2026-11-20T23:59:59.000Z"])
async def test_none_is_missing_if_a_payment_changes_while_the_list_is_read(
    stand_in: MercadoPagoStandIn, to: str
) -> None:  # fmt: skip
    """It moves out of the window, or to its end by a clock behind ours, so that the first of the next page moves to the
    page that was read.
    """
    stand_in.add(*crowd(3 * PAGE_ITEMS))
    moved = iter([(1, 2, 3), (4,)])

    def move(query: Mapping[str, str]) -> None:
        for number in next(moved, ()) if query["offset"] != "0" else ():
            stand_in.payments[number]["date_last_updated"] = to

    stand_in.moves = move
    async with asking(stand_in) as api:
        found = {int(listed.parsed.resource) for listed in await everything(api)}
    assert found >= set(range(5, 3 * PAGE_ITEMS + 1))


async def test_a_list_that_always_changes_is_not_available(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(*crowd(2 * PAGE_ITEMS))

    def move(query: Mapping[str, str]) -> None:
        if query["offset"] != "0":
            stand_in.payments.pop(min(stand_in.payments))

    stand_in.moves = move
    async with asking(stand_in) as api:
        with pytest.raises(ApiUnavailableError, match="changed"):
            await everything(api)


async def test_the_list_of_orders_has_each_order_whole(stand_in: MercadoPagoStandIn) -> None:
    stand_in.add(*(order(number) for number in range(1, PAGE_ITEMS + 2)), order(999, "2026-11-22T00:00:00Z"))
    async with asking(stand_in, money_from="orders", currency="BRL") as api:
        found = await everything(api, Window(DAY.since - timedelta(days=80), DAY.until))
    assert len(found) == PAGE_ITEMS + 1
    assert [fact.kind for fact in listed_facts(found[0])] == ["authorized", "captured"]
    assert (found[0].parsed.type, found[0].parsed.resource) == (FETCHED_ORDER, f"ord{1:026d}")


async def test_the_check_names_the_account(stand_in: MercadoPagoStandIn) -> None:
    async with asking(stand_in, currency="BRL") as api:
        assert await api.check() == f"account {ACCOUNT} of MLB"
        stand_in.site = "MLA"
        with pytest.raises(ApiUnexpectedError, match="ARS"):
            await api.check()
        stand_in.mishaps.append(text(b'{"id": 5}'))
        with pytest.raises(ApiUnexpectedError, match="another account"):
            await api.check()
        stand_in.mishaps.append(status(401))
        with pytest.raises(ApiRefusedError):
            await api.check()


async def test_test_credentials_are_refused_by_orders(stand_in: MercadoPagoStandIn) -> None:
    async with asking(stand_in, api_key=TEST_TOKEN, mode="test", money_from="orders") as api:
        with pytest.raises(ApiRefusedError):
            await everything(api)


@pytest.mark.parametrize(
    ("token", "mode", "sentence"),
    [
        ("APP_USR-1", "live", "no access token"), ("sk_live_1", "live", "no access token"),
        (f"{TOKEN}x", "live", "no access token"), (TEST_TOKEN, "live", "test credentials"),
    ],
)  # fmt: skip
def test_a_token_that_cannot_be_right_stops_the_start(token: str, mode: str, sentence: str) -> None:
    with pytest.raises(AccessError, match=sentence) as error:
        access(api_key=token, mode=mode)
    assert token not in str(error.value)


SOURCES = """
[mp]
provider = "mercadopago"
secrets = ["s"]
confirm = "api"
api_key = "${TOKEN}"
"""


def test_a_source_that_asks_says_what_is_booked(tmp_path: Path) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(SOURCES)
    with pytest.raises(SourcesError, match=r"\[mp\] money_from: say"):
        load_sources(path, {})
    path.write_text(f'{SOURCES}money_from = "payments"')
    assert set(load_sources(path, {})) == {"mp"}


async def test_its_own_package_gets_the_same_objects(
    stand_in: MercadoPagoStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "_Config__api_base_url", stand_in.url)
    stand_in.add(payment(1, transaction_amount_refunded=8.5), order(1))
    stand_in.refunds = [refund(7, 1, 8.5)]
    stand_in.chargebacks = [chargeback("217", 1, 40.01)]
    sdk: Any = mercadopago.SDK(TOKEN)
    search = {"range": "date_last_updated", "begin_date": "2026-11-20T00:00:00.000Z",
              "end_date": "2026-11-21T00:00:00.000Z", "sort": "date_last_updated", "criteria": "asc",
              "limit": 100, "offset": 0}  # fmt: skip
    calls = [
        lambda: sdk.payment().get(1), lambda: sdk.payment().search(search), lambda: sdk.refund().list_all(1),
        lambda: sdk.chargeback().get("217"), lambda: sdk.chargeback().search({"payment_id": 1}),
        lambda: sdk.order().get(f"ORD{1:026d}"), lambda: sdk.user().get(),
    ]  # fmt: skip
    answers = [await asyncio.to_thread(call) for call in calls]
    assert {each["status"] for each in answers} == {200}
    theirs = [(each.path, each.query) for each in stand_in.requests]
    stand_in.requests.clear()
    async with asking(stand_in) as api:
        await everything(api, Window(DAY.since + MARGIN, DAY.until - MARGIN))
        await api.fetch(notified("chargebacks", "217"))
        await api.check()
    async with asking(stand_in, money_from="orders") as api:
        await api.fetch(notified("order", f"ORD{1:026d}"))
    ours = [(each.path, each.query) for each in stand_in.requests]
    assert [each for each in theirs if each not in ours] == []
    assert [each for each in ours if each not in theirs] == []
    assert answers[0]["response"] == stand_in.payments[1]
    assert answers[2]["response"] == stand_in.refunds
