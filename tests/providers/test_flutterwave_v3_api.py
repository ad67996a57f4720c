"""Flutterwave v3: what an event says is nothing; what its API says of the transaction is booked, exactly."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from providers.api import (
    ApiRefusedError,
    ApiUnavailableError,
    ApiUnexpectedError,
    Limits,
    Listed,
    NotFoundError,
    Window,
    to_event,
)
from providers.flutterwave_v3.api import FlutterwaveV3Access, FlutterwaveV3Api
from providers.flutterwave_v3.facts import extract_facts
from tests.support.cases.base import NOW
from tests.support.stand_ins.flutterwave import KEY, FlutterwaveV3
from tests.support.stand_ins.stand_in import status, text

QUICK = Limits(timeout_s=2, attempts_max=2, requests_per_s_max=10_000)
WINDOW = Window(datetime(2026, 9, 17, 10, tzinfo=UTC), datetime(2026, 9, 17, 11, tzinfo=UTC))


@pytest.fixture
async def flutterwave() -> AsyncIterator[FlutterwaveV3]:
    async with FlutterwaveV3().serving() as server:
        yield server


@pytest.fixture
async def api(flutterwave: FlutterwaveV3) -> AsyncIterator[FlutterwaveV3Api]:
    api = FlutterwaveV3Api(access(api_url=flutterwave.url))
    await api.open(QUICK)
    yield api
    await api.close()


def access(**changes: str) -> FlutterwaveV3Access:
    table = {"source": "shop", "namespace": "acme", "mode": "test", "api_key": KEY}
    return FlutterwaveV3Access.model_validate({**table, **changes})


def event(data: object, about: str = "order-1", type_: str = "charge.completed") -> Event:
    body = json.dumps({"event": type_, "data": data}).encode()
    return Event("shop", "acme", "flutterwave_v3", "e_1", type_, about, NOW, NOW, "reference", body)


async def facts(api: FlutterwaveV3Api, delivered: Event) -> list[Fact]:
    fetched = await api.fetch(delivered)
    return list(extract_facts(replace(delivered, body=fetched.body, type=fetched.type, signed="api")))


async def listed(api: FlutterwaveV3Api, window: Window = WINDOW) -> list[Listed]:
    return [each async for page in api.list_payments(window) for each in page]


def booked(api: FlutterwaveV3Api, found: list[Listed]) -> dict[str, list[Fact]]:
    events = [to_event(api.access, "flutterwave_v3", each, NOW, "reconcile") for each in found]
    return {f"{each.type} {each.resource}": list(extract_facts(each)) for each in events}


def test_an_event_reports_nothing_itself() -> None:
    claimed = {"id": 7, "tx_ref": "order-1", "amount": 100, "currency": "NGN", "status": "successful"}
    assert extract_facts(event(claimed)) == ()
    assert extract_facts(replace(event(claimed), signed="body")) == ()


@pytest.mark.parametrize(
    ("now", "fact"),
    [("successful", Fact("captured", 10050, "NGN", "7")), ("pending", Fact("pending", 10050, "NGN")),
     ("failed", Fact("failed", 10050, "NGN")), ("something-new", None)],
)  # fmt: skip
async def test_what_is_booked_is_what_the_api_says(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api, now: str, fact: Fact | None
) -> None:
    flutterwave.has_transaction(7, "order-1", 100.5, now)
    claimed = {"id": 7, "tx_ref": "order-1", "amount": 1e9, "currency": "USD", "status": now}
    assert await facts(api, event(claimed)) == ([fact] if fact else [])
    assert api.must_ask(event(claimed))
    assert not api.must_ask(event({"id": 7}, type_="transfer.completed"))


async def test_what_has_ended_is_asked_for_until_the_api_shows_it(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    made, ended = flutterwave.has_transaction(7, "order-1", 100, "pending"), event({"id": 7, "status": "successful"})
    with pytest.raises(NotFoundError, match="how the transaction ended"):
        await api.fetch(ended)
    made["status"] = "failed"  # whatever the event says
    assert await facts(api, ended) == [Fact("failed", 10000, "NGN")]


async def test_a_transaction_of_another_payment_is_not_confirmed(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    flutterwave.has_transaction(7, "order-2", 100)
    with pytest.raises(NotFoundError, match="not of the event's payment"):
        await api.fetch(event({"id": 7, "tx_ref": "order-1"}))


@pytest.mark.parametrize("id_", [None, "", "..", "7/../8", "7?x=1", "\u0667", 7.5, [], {}, "x"])
async def test_what_is_no_id_is_not_asked_for(flutterwave: FlutterwaveV3, api: FlutterwaveV3Api, id_: object) -> None:
    with pytest.raises(NotFoundError, match="names no transaction"):
        await api.fetch(event({"id": id_, "tx_ref": "order-1"}))
    assert flutterwave.requests == []


async def test_what_does_not_exist_differs_from_a_wrong_question(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    with pytest.raises(NotFoundError, match="no such transaction"):
        await api.fetch(event({"id": 7}))
    flutterwave.mishaps.append(status(400, {"status": "error", "message": "Invalid date", "data": None}))
    with pytest.raises(ApiUnexpectedError, match="400"):
        await api.fetch(event({"id": 7}))
    flutterwave.mishaps.extend([status(503)] * 2)
    with pytest.raises(ApiUnavailableError):
        await api.fetch(event({"id": 7}))


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b'{"status":"success","data":null}', b'{"data":{"id":8,"tx_ref":"order-1"}}', b'{"data":{"id":7.5}}',
     b'{"data":{"tx_ref":"order-1"}}', b'{"data":{"id":7,"amount":NaN}}'],
)  # fmt: skip
async def test_an_answer_that_is_not_the_transaction_confirms_nothing(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api, answer: bytes
) -> None:
    flutterwave.mishaps.append(text(answer))
    with pytest.raises(ApiUnexpectedError):
        await api.fetch(event({"id": 7, "tx_ref": "order-1"}))


@pytest.mark.parametrize(
    ("number", "minor"), [("0.29", 29), ("90071992547409.93", 9007199254740993), ("1E+2", 10000), ("100.00", 10000)]
)
async def test_no_amount_is_rounded_on_its_way(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api, number: str, minor: int
) -> None:
    transaction = f'"id":7,"tx_ref":"order-1","currency":"NGN","status":"successful","amount":{number}'
    flutterwave.mishaps.append(text(f'{{"status":"success","data":{{{transaction}}}}}'.encode()))
    (fact,) = await facts(api, event({"id": 7}))
    assert fact.amount == minor


async def test_neither_the_customer_nor_the_cards_token_is_kept(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    flutterwave.has_transaction(7, "order-1", 100)
    flutterwave.has_refund(5, 7, 10)
    bodies = [(await api.fetch(event({"id": 7}))).body, *(each.body for each in await listed(api))]
    assert len(bodies) == 3
    for body in bodies:
        assert b"secret-token" not in body
        assert b"jane" not in body


async def test_transactions_and_refunds_of_a_window_are_listed(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    flutterwave.has_transaction(6, "order-0", 5, at="2026-09-17T09:59:59.999Z")
    flutterwave.has_transaction(7, "order-1", 100.5)
    flutterwave.has_transaction(8, "order-2", 7, "failed", at="2026-09-17T10:59:59.999Z")
    flutterwave.has_transaction(9, "order-3", 7, at="2026-09-17T11:00:00.000Z")
    flutterwave.has_refund(5, 6, 2.5)
    found = await listed(api)
    assert booked(api, found) == {
        "reconcile.transaction order-1": [Fact("captured", 10050, "NGN", "7")],
        "reconcile.transaction order-2": [Fact("failed", 700, "NGN")],
        "reconcile.refund order-0": [Fact("refunded", 250, "NGN", "5")],
    }
    assert [each.parsed.event_id for each in found] == [each.parsed.event_id for each in await listed(api)]
    assert {each.parsed.mode for each in found} == {"test"}


async def test_a_confirmed_event_and_the_list_report_one_capture(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    flutterwave.has_transaction(7, "order-1", 100)
    (from_list,) = booked(api, await listed(api)).values()
    assert from_list == await facts(api, event({"id": 7, "tx_ref": "order-1"}))


async def test_a_day_at_the_border_of_another_zone_lacks_nothing(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    flutterwave.has_transaction(7, "order-1", 1, at="2026-09-16T23:30:00.000Z")
    midnight = datetime(2026, 9, 17, tzinfo=UTC)
    assert len(await listed(api, Window(midnight - timedelta(hours=1), midnight))) == 1
    assert await listed(api, Window(midnight, midnight + timedelta(hours=1))) == []


async def test_pages_that_grow_on_top_lack_nothing_and_come_once(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    for number in range(35):
        flutterwave.has_transaction(number, f"order-{number}", 1)
    for number in range(100, 115):
        flutterwave.arriving.append(flutterwave.has_transaction(number, f"order-{number}", 1))
    del flutterwave.transactions[35:]
    found = [each.parsed.resource for each in await listed(api)]
    assert {f"order-{number}" for number in range(35)} <= set(found)
    assert len(set(found)) == len(found)


async def test_a_list_that_does_not_say_how_long_it_is_ends(flutterwave: FlutterwaveV3, api: FlutterwaveV3Api) -> None:
    page = text(b'{"status":"success","data":[{"id":7,"tx_ref":"order-1","amount":1,"currency":"NGN"}]}')
    flutterwave.mishaps.extend([page, page])
    assert len(await listed(api)) == 1


async def test_a_known_payment_is_looked_up_with_its_refunds(flutterwave: FlutterwaveV3, api: FlutterwaveV3Api) -> None:
    flutterwave.has_transaction(7, "order-1", 100, at="2026-01-01T00:00:00.000Z")
    flutterwave.has_transaction(8, "order-2", 100)
    flutterwave.has_refund(5, 7, 40, "completed-mpgs", at="2026-02-01T00:00:00.000Z")
    flutterwave.has_refund(6, 8, 50)
    assert booked(api, list(await api.fetch_payment("order-1"))) == {
        "reconcile.transaction order-1": [Fact("captured", 10000, "NGN", "7")],
        "reconcile.refund order-1": [Fact("refunded", 4000, "NGN", "5")],
    }
    with pytest.raises(NotFoundError):
        await api.fetch_payment("order-9")


@pytest.mark.parametrize(
    ("now", "kind"),
    [("completed", "refunded"), ("successful", "refunded"), ("failed", "refund_failed"), ("new", None), ("", None)],
)
async def test_a_refund_is_booked_once_it_has_ended(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api, now: str, kind: str | None
) -> None:
    flutterwave.has_transaction(7, "order-1", 100, at="2026-01-01T00:00:00.000Z")
    flutterwave.has_refund(5, 7, 40, now)
    (found,) = booked(api, await listed(api)).values()
    assert [each.kind for each in found] == ([kind] if kind else [])


async def test_a_refund_whose_transaction_is_not_there_cannot_be_read_and_ends_nothing(
    flutterwave: FlutterwaveV3, api: FlutterwaveV3Api
) -> None:
    flutterwave.has_refund(5, 7, 40)
    (refund,) = await listed(api)
    assert (refund.parsed.type, "not there" in refund.unreadable) == ("reconcile.refund", True)


async def test_it_reads_the_balances_to_check_the_key(flutterwave: FlutterwaveV3, api: FlutterwaveV3Api) -> None:
    assert await api.check() == "a Flutterwave account, test mode, with balances in KES, NGN"
    other = FlutterwaveV3Api(access(api_url=flutterwave.url, api_key="FLWSECK_TEST-another-X"))
    await other.open(QUICK)
    with pytest.raises(ApiRefusedError, match="401") as error:
        await other.check()
    await other.close()
    assert "another" not in str(error.value)


@pytest.mark.parametrize(
    ("mode", "key"),
    [("live", "FLWSECK_TEST-1-X"), ("test", "FLWSECK-1-X"), ("live", "FLWPUBK-1-X"), ("test", "FLWPUBK_TEST-1-X")],
)
def test_a_key_that_is_not_of_the_mode_is_refused_without_naming_it(mode: str, key: str) -> None:
    with pytest.raises(ValidationError, match="as a secret key of the source's mode does") as error:
        access(mode=mode, api_key=key)
    assert key not in str(error.value)
