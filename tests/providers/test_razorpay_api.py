"""Razorpay's API: lists by the time of making, refunds with their payments, disputes that change for months."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import razorpay
from pydantic import ValidationError

from contract.facts import Fact
from providers.api import ApiRefusedError, ApiUnexpectedError, Limits, NotFoundError, Window
from providers.razorpay import api as razorpay_api
from providers.razorpay.api import RazorpayAccess, RazorpayApi
from tests.support.listed import facts_of, list_all, said
from tests.support.stand_ins.razorpay import RazorpayStandIn
from tests.support.stand_ins.stand_in import status, text

DAY = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
AT = int(DAY.since.timestamp())
QUICK = Limits(requests_per_s_max=10_000, attempts_max=3)


@pytest.fixture
async def server() -> AsyncIterator[RazorpayStandIn]:
    async with RazorpayStandIn().serving() as stand_in:
        yield stand_in


def access(url: str | None = None, **settings: Any) -> RazorpayAccess:
    table = {
        "source": "shop", "namespace": "shop", "mode": "test", "api_url": url,
        "key_id": "rzp_test_abcdefghijklmn", "key_secret": "a_secret", **settings,
    }  # fmt: skip
    return RazorpayAccess.model_validate(table)


@pytest.fixture
async def api(server: RazorpayStandIn) -> AsyncIterator[RazorpayApi]:
    asked = RazorpayApi(access(server.url))
    await asked.open(QUICK)
    yield asked
    await asked.close()


async def test_each_state_of_a_payment_is_said_as_its_webhook_says_it(
    server: RazorpayStandIn, api: RazorpayApi
) -> None:  # fmt: skip
    for number, (state, captured) in enumerate(
        [("created", False), ("authorized", False), ("captured", True), ("failed", False), ("refunded", True),
         ("refunded", False), ("something_new", False)]
    ):  # fmt: skip
        server.add_payment(f"pay_{number}", AT + number, status=state, captured=captured)
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.payment", "pay_0"): [],
        ("reconcile.payment", "pay_1"): [("authorized", 1000, "")],
        ("reconcile.payment", "pay_2"): [("captured", 1000, "pay_2")],
        ("reconcile.payment", "pay_3"): [("failed", 1000, "")],
        ("reconcile.payment", "pay_4"): [("captured", 1000, "pay_4")],
        ("reconcile.payment", "pay_5"): [("canceled", 1000, "")],
        ("reconcile.payment", "pay_6"): [],
    }


async def test_a_refund_counts_once_processed_and_only_of_what_was_captured(
    server: RazorpayStandIn, api: RazorpayApi
) -> None:  # fmt: skip
    server.add_payment("pay_old", AT - 90 * 86_400)
    server.add_payment("pay_auto", AT + 1, status="refunded", captured=False)
    server.add_refund("rfnd_1", "pay_old", AT + 2)
    server.add_refund("rfnd_2", "pay_auto", AT + 3)
    server.add_payment("pay_new", AT + 4)
    server.add_refund("rfnd_3", "pay_new", AT + 5, status="pending")
    listed = said(api, await list_all(api, DAY))
    assert listed["reconcile.refund", "pay_old"] == [("refunded", 400, "rfnd_1")]
    assert listed["reconcile.refund", "pay_auto"] == [("canceled", 1000, "")]
    assert listed["reconcile.refund", "pay_new"] == []
    fetched = [each.path for each in server.requests if each.path.count("/") == 3]
    assert fetched == ["/v1/payments/pay_auto", "/v1/payments/pay_old"]  # the third was listed as captured
    await list_all(api, DAY)
    again = [each.path for each in server.requests if each.path.count("/") == 3][len(fetched) :]
    assert again == ["/v1/payments/pay_auto"]  # what was not captured may be by now


async def test_a_dispute_is_read_again_for_months_and_not_for_years(server: RazorpayStandIn, api: RazorpayApi) -> None:
    day = 86_400
    server.add_dispute("disp_open", "pay_1", AT + 1, amount_deducted=0)
    server.add_dispute("disp_lost", "pay_2", AT - 100 * day, status="lost", amount_deducted=700)
    server.add_dispute("disp_won", "pay_3", AT - 60 * day, status="won", amount_deducted=700)
    server.add_dispute("disp_ended", "pay_4", AT - 50 * day, status="closed")
    server.add_dispute("disp_later", "pay_5", AT + 2 * day)
    for number in range(150):
        server.add_dispute(f"disp_old_{number}", "pay_6", AT - 200 * day)
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.dispute", "pay_1"): [("dispute_opened", 1000, "disp_open")],
        ("reconcile.dispute", "pay_2"): [("dispute_lost", 1000, "disp_lost"), ("funds_withdrawn", 700, "disp_lost")],
        ("reconcile.dispute", "pay_3"): [
            ("dispute_won", 1000, "disp_won"),
            ("funds_withdrawn", 700, "disp_won"),
            ("funds_reinstated", 700, "disp_won"),
        ],
        ("reconcile.dispute", "pay_4"): [("dispute_won", 1000, "disp_ended")],
    }
    assert [each.query["skip"] for each in server.requests if each.path == "/v1/disputes"] == ["0", "100"]


async def test_a_refund_whose_payment_is_not_there_cannot_be_read_and_ends_nothing(
    server: RazorpayStandIn, api: RazorpayApi
) -> None:  # fmt: skip
    server.add_payment("pay_1", AT + 1)
    server.add_refund("rfnd_1", "pay_1", AT + 2)
    server.add_refund("rfnd_2", "pay_gone", AT + 3)
    _, alone, refund = await list_all(api, DAY)
    assert (alone.parsed.type, "not there" in alone.unreadable) == ("reconcile.refund", True)
    assert facts_of(api, refund)[0].object == "rfnd_1"


async def test_a_list_of_disputes_without_an_end_is_left(
    server: RazorpayStandIn, api: RazorpayApi, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(razorpay_api, "PAGES_MAX", 1)
    for number in range(101):
        server.add_dispute(f"disp_{number}", "pay_1", AT)
    with pytest.raises(ApiUnexpectedError, match="more than 1 pages"):
        await list_all(api, DAY)


async def test_the_id_names_the_object_and_what_it_says(server: RazorpayStandIn, api: RazorpayApi) -> None:
    payment = server.add_payment("pay_1", AT + 1, status="authorized", captured=False)
    (first,) = await list_all(api, DAY)
    payment["notes"] = {"order": "7"}
    (second,) = await list_all(api, DAY)
    payment.update(status="captured", captured=True)
    (third,) = await list_all(api, DAY)
    assert first.parsed.event_id.startswith("reconcile:pay_1:")
    assert first.parsed.event_id == second.parsed.event_id != third.parsed.event_id
    assert first.parsed.occurred_at == DAY.since + timedelta(seconds=1)


async def test_what_is_made_while_a_list_is_read_hides_nothing(server: RazorpayStandIn, api: RazorpayApi) -> None:
    for number in range(250):
        server.add_payment(f"pay_{number}", AT + number)

    def insert() -> None:
        server.add_payment(f"pay_new_{len(server.requests)}", int(DAY.until.timestamp()) + len(server.requests))

    server.after_list = insert
    ids = {each.parsed.resource for each in await list_all(api, DAY)}
    assert ids == {f"pay_{number}" for number in range(250)}


async def test_the_ends_of_a_window_are_half_open(server: RazorpayStandIn, api: RazorpayApi) -> None:
    for name, created_at in [("before", AT - 1), ("first", AT), ("last", AT + 86_399), ("after", AT + 86_400)]:
        server.add_payment(f"pay_{name}", created_at)
    assert {each.parsed.resource for each in await list_all(api, DAY)} == {"pay_first", "pay_last"}


async def test_a_long_list_is_read_in_shorter_windows(
    server: RazorpayStandIn, api: RazorpayApi, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(razorpay_api, "SKIP_MAX", 200)
    for number in range(700):
        server.add_payment(f"pay_{number}", AT + number * 100)
    ids = {each.parsed.resource for each in await list_all(api, DAY)}
    assert ids == {f"pay_{number}" for number in range(700)}
    assert max(int(each.query.get("skip", 0)) for each in server.requests) < 200


async def test_more_than_can_be_listed_in_one_second_is_said(
    server: RazorpayStandIn, api: RazorpayApi, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(razorpay_api, "SKIP_MAX", 100)
    for number in range(101):
        server.add_payment(f"pay_{number}", AT)
    with pytest.raises(ApiUnexpectedError, match="in one second"):
        await list_all(api, DAY)


async def test_one_payment_is_fetched_with_all_its_refunds(server: RazorpayStandIn, api: RazorpayApi) -> None:
    server.add_payment("pay_1", AT)
    for number in range(120):
        server.add_refund(f"rfnd_{number}", "pay_1", AT + number, amount=5)
    listed = await api.fetch_payment("pay_1")
    assert len(listed) == 121
    assert facts_of(api, listed[0]) == [Fact("captured", 1000, "INR", "pay_1")]


async def test_an_unknown_id_is_answered_400_and_understood(api: RazorpayApi) -> None:
    with pytest.raises(NotFoundError):
        await api.fetch_payment("pay_unknown")


async def test_another_400_is_no_unknown_id(server: RazorpayStandIn, api: RazorpayApi) -> None:
    server.mishaps.append(status(400, {"error": {"description": "Access Denied"}}))
    with pytest.raises(ApiUnexpectedError, match="400"):
        await api.fetch_payment("pay_1")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": 7}'])
async def test_an_answer_of_another_shape_is_said(server: RazorpayStandIn, api: RazorpayApi, body: bytes) -> None:
    server.mishaps.append(text(body))
    with pytest.raises(ApiUnexpectedError):
        await list_all(api, DAY)


async def test_what_cannot_be_read_is_marked(server: RazorpayStandIn, api: RazorpayApi) -> None:
    server.mishaps.append(text(b'{"items": [{"id": ""}, {"id": "pay_1", "payment_id": {}}]}'))
    assert [(each.parsed.type, bool(each.unreadable)) for each in await list_all(api, DAY)] == [
        ("reconcile.payment", True)
    ] * 2


async def test_the_check_reads_one_payment_with_the_same_right(server: RazorpayStandIn, api: RazorpayApi) -> None:
    server.mishaps.append(status(429))
    assert "test mode" in await api.check()
    assert {each.path for each in server.requests} == {"/v1/payments"}


async def test_a_wrong_key_is_refused_and_not_shown(server: RazorpayStandIn) -> None:
    async with RazorpayApi(access(server.url, key_secret="another_secret")) as asked:
        with pytest.raises(ApiRefusedError) as error:
            await asked.check()
    assert "another_secret" not in f"{error.value!r}"


def test_the_key_says_its_mode() -> None:
    with pytest.raises(ValidationError, match="rzp_live_") as error:
        access(mode="live")
    assert "abcdefghijklmn" not in str(error.value)


async def test_the_official_library_asks_and_gets_the_same(server: RazorpayStandIn, api: RazorpayApi) -> None:
    """Razorpay's own client, pointed at the stand-in, makes our requests, and finds what we list."""
    server.add_payment("pay_1", AT + 1)
    server.add_refund("rfnd_1", "pay_1", AT + 2)
    server.add_dispute("disp_1", "pay_1", AT + 3)
    ours = {each.parsed.event_id.split(":")[1] for each in await list_all(api, DAY)}
    requests = [(each.path, dict(each.query)) for each in server.requests]
    server.requests.clear()
    client: Any = razorpay.Client(auth=(server.key_id, server.key_secret), base_url=server.url)

    def ask() -> list[Any]:
        range_ = {"from": AT - 1, "to": AT + 86_401, "count": 100, "skip": 0}
        return [
            client.payment.all(range_), client.refund.all(range_), client.dispute.all({"count": 100, "skip": 0}),
        ]  # fmt: skip

    answers = await asyncio.to_thread(ask)
    assert {item["id"] for answer in answers for item in answer["items"]} == ours
    assert [(each.path, dict(each.query)) for each in server.requests] == requests
