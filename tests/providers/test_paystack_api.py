"""Paystack's API: transactions by a cursor, refunds that cannot be named, disputes that change for months."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from providers.api import ApiRefusedError, ApiUnexpectedError, Limits, NotFoundError, Window
from providers.paystack.api import PaystackAccess, PaystackApi
from tests.support.listed import facts_of, list_all, said
from tests.support.stand_ins.paystack import PaystackStandIn
from tests.support.stand_ins.stand_in import status, text

DAY = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
AT = int(DAY.since.timestamp())
DAY_S = 86_400
QUICK = Limits(requests_per_s_max=10_000, attempts_max=3)


@pytest.fixture
async def server() -> AsyncIterator[PaystackStandIn]:
    async with PaystackStandIn().serving() as stand_in:
        yield stand_in


def access(url: str | None = None, **settings: Any) -> PaystackAccess:
    table = {"source": "shop", "namespace": "shop", "mode": "test", "api_url": url, **settings}
    return PaystackAccess.model_validate({"api_key": "sk_test_0123456789abcdef", **table})


@pytest.fixture
async def api(server: PaystackStandIn) -> AsyncIterator[PaystackApi]:
    asked = PaystackApi(access(server.url))
    await asked.open(QUICK)
    yield asked
    await asked.close()


async def test_what_brought_money_is_listed_and_what_was_abandoned_is_not(
    server: PaystackStandIn, api: PaystackApi
) -> None:  # fmt: skip
    for number, state in enumerate(["success", "reversed", "abandoned", "failed", "ongoing"], start=1):
        server.add_transaction(number, f"ref-{number}.a=b", AT + number, status=state)
    server.add_transaction(9, "partial", AT + 9, amount=30050)
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.transaction", "ref-1.a=b"): [("captured", 40333, "ref-1.a=b")],
        ("reconcile.transaction", "ref-2.a=b"): [("captured", 40333, "ref-2.a=b")],
        ("reconcile.transaction", "partial"): [("authorized", 40333, ""), ("captured", 30050, "partial")],
    }


async def test_refunds_are_compared_as_a_sum_and_make_no_transfer(server: PaystackStandIn, api: PaystackApi) -> None:
    """Those of the window, those made before it, and those that are not processed, of an older transaction too."""
    server.add_transaction(1, "old", AT - 60 * DAY_S)
    server.add_refund(11, 1, AT - 30 * DAY_S, amount=100)
    server.add_refund(12, 1, AT + 1, amount=250)
    server.add_refund(13, 1, AT + 2, amount=999, status="needs-attention")
    server.add_transaction(2, "new", AT + 3)
    server.add_refund(14, 2, AT + 4, status="pending")
    objects = await list_all(api, DAY)
    assert {each.parsed.mode for each in objects} == {"test"}
    listed = said(api, objects)
    assert listed["reconcile.refunds", "old"] == [("refunded_total", 350, "")]
    assert listed["reconcile.refunds", "new"] == []


async def test_a_filter_that_is_ignored_makes_the_sum_smaller_and_never_another_payments(
    server: PaystackStandIn, api: PaystackApi
) -> None:  # fmt: skip
    server.filters_refunds = server.has_refund_meta = False
    server.page_max = 2
    for number in range(1, 6):
        server.add_transaction(number, f"ref_{number}", AT + number)
        server.add_refund(number, number, AT + 10 + number, amount=number)
    listed = said(api, await list_all(api, DAY))
    for number in range(1, 6):
        assert listed["reconcile.refunds", f"ref_{number}"] == [("refunded_total", number, "")]
    assert len(server.requests) < 20


async def test_refunds_that_pay_all_back_are_not_asked_for_again(server: PaystackStandIn, api: PaystackApi) -> None:
    server.add_transaction(1, "whole", AT + 1)
    server.add_refund(11, 1, AT + 2, amount=40333)
    server.add_transaction(2, "part", AT - 60 * DAY_S)
    server.add_refund(12, 2, AT + 3, amount=100)
    for _ in range(2):
        listed = said(api, await list_all(api, DAY))
        assert listed["reconcile.refunds", "whole"] == [("refunded_total", 40333, "")]
        assert listed["reconcile.refunds", "part"] == [("refunded_total", 100, "")]
    assert [each.query["transaction"] for each in server.requests if "transaction" in each.query] == ["2", "2"]
    assert [each.path for each in server.requests if each.path == "/transaction/2"] == ["/transaction/2"]


async def test_a_refund_in_another_currency_gives_no_sum(server: PaystackStandIn, api: PaystackApi) -> None:
    server.add_transaction(1, "ref_1", AT + 1)
    server.add_refund(11, 1, AT + 2, currency="USD")
    listed = [each for each in await list_all(api, DAY) if each.parsed.type == "reconcile.refunds"]
    with pytest.raises(ValueError, match="another currency"):
        facts_of(api, listed[0])


async def test_a_dispute_is_read_again_for_months(server: PaystackStandIn, api: PaystackApi) -> None:
    for number in range(1, 6):
        server.add_transaction(number, f"ref_{number}", AT - 130 * DAY_S)
    server.add_dispute(21, 1, AT + 1)
    server.add_dispute(22, 2, AT - 90 * DAY_S, status="resolved", resolution="merchant-accepted", refund_amount=1002,
                       currency="NGN")  # fmt: skip
    server.add_dispute(23, 3, AT - 90 * DAY_S, status="resolved", resolution="declined")
    server.add_dispute(24, 4, AT + 2, status="archived")
    server.add_dispute(25, 5, AT - 125 * DAY_S)
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.dispute", "ref_1"): [("dispute_opened", 40333, "21")],
        ("reconcile.dispute", "ref_2"): [("dispute_lost", 1002, "22")],
        ("reconcile.dispute", "ref_3"): [("dispute_won", 40333, "23")],
        ("reconcile.dispute", "ref_4"): [],
    }


async def test_pages_follow_the_cursor_while_new_ones_are_made(server: PaystackStandIn, api: PaystackApi) -> None:
    for number in range(1, 251):
        server.add_transaction(number, f"ref_{number}", AT + number)
    server.page_max = 40
    seen = set[str]()
    async for page in api.list_payments(DAY):
        seen |= {each.parsed.resource for each in page}
        server.add_transaction(1000 + len(seen), f"new_{len(seen)}", AT + 300)
    assert {f"ref_{number}" for number in range(1, 251)} <= seen
    cursors = [each.query.get("next") for each in server.requests if each.query.get("status") == "success"]
    assert len(cursors) == 7


async def test_without_a_cursor_the_pages_have_numbers(server: PaystackStandIn, api: PaystackApi) -> None:
    server.has_cursor, server.page_max = False, 2
    for number in range(1, 6):
        server.add_transaction(number, f"ref_{number}", AT + number)
    assert {each.parsed.resource for each in await list_all(api, DAY)} == {f"ref_{number}" for number in range(1, 6)}


async def test_a_refund_whose_transaction_is_not_there_cannot_be_read_and_ends_nothing(
    server: PaystackStandIn, api: PaystackApi
) -> None:  # fmt: skip
    server.add_refund(11, 7, AT + 1)
    (listed,) = await list_all(api, DAY)
    assert (listed.parsed.type, "not there" in listed.unreadable) == ("reconcile.refunds", True)


async def test_a_cursor_that_leads_nowhere_else_ends_the_list(server: PaystackStandIn, api: PaystackApi) -> None:
    page = text(json.dumps({"status": True, "data": [], "meta": {"next": "Y3Vyc29y"}}).encode())
    server.mishaps.extend([page, page])
    with pytest.raises(ApiUnexpectedError, match="read before"):
        await list_all(api, DAY)


async def test_one_payment_is_fetched_with_its_refunds_and_disputes(server: PaystackStandIn, api: PaystackApi) -> None:
    server.add_transaction(1, "a/b c", AT)
    server.add_transaction(2, "ref_2", AT)
    server.add_refund(11, 1, AT + 1)
    server.add_dispute(21, 1, AT + 2)
    server.add_dispute(22, 2, AT + 2)
    assert said(api, await api.fetch_payment("a/b c")) == {
        ("reconcile.transaction", "a/b c"): [("captured", 40333, "a/b c")],
        ("reconcile.refunds", "a/b c"): [("refunded_total", 10000, "")],
        ("reconcile.dispute", "a/b c"): [("dispute_opened", 40333, "21")],
    }
    server.transactions[2]["status"] = "abandoned"
    assert said(api, await api.fetch_payment("ref_2"))["reconcile.transaction", "ref_2"] == []


async def test_an_unknown_reference_is_answered_400_and_understood(server: PaystackStandIn, api: PaystackApi) -> None:
    with pytest.raises(NotFoundError):
        await api.fetch_payment("unknown")
    server.mishaps.append(status(400, {"status": False, "message": "Invalid key"}))
    with pytest.raises(ApiUnexpectedError):
        await api.fetch_payment("unknown")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"status": false, "data": []}', b'{"status": "false", "data": []}', b'{"data": []}',
     b'{"status": true}', b'{"status": true, "data": [], "meta": {"next": 7}}'],
)  # fmt: skip
async def test_an_answer_of_another_shape_is_said(server: PaystackStandIn, api: PaystackApi, body: bytes) -> None:
    server.mishaps.append(text(body))
    with pytest.raises(ApiUnexpectedError):
        await list_all(api, DAY)


async def test_what_cannot_be_read_is_marked(server: PaystackStandIn, api: PaystackApi) -> None:
    server.mishaps.append(text(b'{"status": true, "data": [{}], "meta": {}}'))
    assert [each.parsed.type for each in await list_all(api, DAY) if each.unreadable] == ["reconcile.transaction"]


async def test_the_check_reads_one_transaction_of_the_mode(server: PaystackStandIn, api: PaystackApi) -> None:
    assert "test mode" in await api.check()
    server.add_transaction(1, "ref_1", AT, domain="live")
    with pytest.raises(ApiUnexpectedError, match="another mode"):
        await api.check()


async def test_a_wrong_key_is_refused_and_not_shown(server: PaystackStandIn) -> None:
    async with PaystackApi(access(server.url, api_key="sk_test_another")) as asked:
        with pytest.raises(ApiRefusedError) as error:
            await asked.check()
    assert "sk_test_another" not in f"{error.value!r}"


def test_the_key_says_its_mode() -> None:
    for key in ("sk_live_1", "pk_test_1"):
        with pytest.raises(ValidationError, match="sk_test_") as error:
            access(api_key=key)
        assert key not in str(error.value)


OPENAPI: dict[str, dict[str, type]] = {
    "transaction": {"id": int, "domain": str, "status": str, "reference": str, "amount": int, "currency": str,
                    "paid_at": str, "created_at": str, "requested_amount": int, "createdAt": str},
    "refund": {"id": int, "transaction": int, "domain": str, "currency": str, "amount": int, "status": str,
               "createdAt": str},
    "dispute": {"id": int, "status": str, "domain": str, "transaction": dict, "createdAt": str},
}  # fmt: skip
"""What we read, as its OpenAPI has it (github.com/PaystackOSS/openapi, dist/paystack.yaml of October 2025)."""


@pytest.mark.parametrize("kind", OPENAPI)
async def test_the_stand_in_answers_as_paystacks_openapi_has_it(
    server: PaystackStandIn, api: PaystackApi, kind: str
) -> None:  # fmt: skip
    server.add_transaction(1, "ref_1", AT + 1)
    server.add_refund(11, 1, AT + 2)
    server.add_dispute(21, 1, AT + 3)
    key = {"Authorization": f"Bearer {server.secret_key}"}
    answer = json.loads((await api.client.get(f"/{kind}", {"perPage": "100"}, **key)).body)
    assert answer["status"] is True
    assert {"perPage", "page", "pageCount", "total"} <= set(answer["meta"])
    (item,) = answer["data"]
    assert {name: type(item[name]) for name in OPENAPI[kind]} == OPENAPI[kind]
