"""GoCardless' list of events and its objects: what is odd about them, and what they say about money."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import gocardless_pro
import pytest

from contract.event import Event
from providers.api import ApiRefusedError, ApiUnavailableError, ApiUnexpectedError, Limits, NotFoundError, to_event
from providers.apis import asking_problems, build_apis
from providers.gocardless.facts import TYPES, extract_facts
from tests.support.event_lists import HOUR, LISTS, NOON, asking, ids, listed, many, text
from tests.support.stand_ins.gocardless import LIMIT_HEADERS, TOKEN
from tests.support.stand_ins.stand_in import status
from tests.support.stand_ins.stand_in import text as answer

GOCARDLESS = LISTS["gocardless"]
PAYMENT = {"id": "PM1", "amount": 4590, "amount_refunded": 0, "currency": "EUR", "status": "confirmed", "links": {}}
REFUND = {"id": "RF1", "amount": 1500, "currency": "EUR", "status": "paid", "links": {"payment": "PM1"}}


def an_event(type_: str = "payments.confirmed", number: int = 1, minutes: int = 0, **links: str) -> dict[str, Any]:
    kind, action = type_.split(".")
    found = links or {"payments": {"payment": "PM1"}, "refunds": {"refund": "RF1"}}.get(kind, {})
    at = text(NOON + timedelta(minutes=minutes))
    return {"id": f"EV{number}", "created_at": at, "resource_type": kind, "action": action, "links": found}


def delivered(event: dict[str, Any]) -> Event:
    type_ = f"{event['resource_type']}.{event['action']}"
    body = json.dumps(event).encode()
    return Event("shop", "shop", "gocardless", event["id"], type_, "PM1", NOON, NOON, "body", body)


async def confirmed(api: Any, event: dict[str, Any]) -> Event:
    """Return the event as it is booked once the API was asked."""
    sent = delivered(event)
    assert api.must_ask(sent)
    assert list(extract_facts(sent)) == []
    fetched = await api.fetch(sent)
    return replace(sent, body=fetched.body, type=fetched.type, signed="api")


async def test_each_request_has_the_version() -> None:
    async with asking(GOCARDLESS, *many(GOCARDLESS, 5)) as (server, api):
        server.page = 2
        await listed(api)
        await api.check()
    assert {request.headers["GoCardless-Version"] for request in server.requests} == {"2015-07-06"}


async def test_a_check_says_whose_account_it_is() -> None:
    async with asking(GOCARDLESS) as (server, api):
        assert await api.check() == "creditor Lindenbaum Books"
        server.mishaps.extend([None, answer(b'{"creditors": []}')])
        assert await api.check() == "an account without a creditor"


async def test_the_end_of_the_limit_is_a_date() -> None:
    async with asking(GOCARDLESS) as (server, api):
        await api.close()
        await api.open(Limits(attempts_max=1))
        headers = {**LIMIT_HEADERS, "Date": "Thu, 17 Sep 2026 12:00:30 GMT"}
        server.mishaps.append(status(429, None, **headers))
        with pytest.raises(ApiUnavailableError) as error:
            await listed(api)
    assert error.value.retry_after_s == 30


async def test_a_payment_gives_its_amount_to_its_event() -> None:
    async with asking(GOCARDLESS) as (server, api):
        server.objects["PM1"] = PAYMENT
        event = await confirmed(api, an_event())
    (fact,) = extract_facts(event)
    assert (fact.kind, fact.amount, fact.currency, fact.object, fact.payment) == ("captured", 4590, "EUR", "EV1", "")
    assert not api.must_ask(event)


async def test_a_listed_event_is_asked_about_as_well() -> None:
    async with asking(GOCARDLESS, an_event()) as (server, api):
        server.objects["PM1"] = PAYMENT
        (found,) = await listed(api)
        event = to_event(api.access, "gocardless", found, NOON, "reconcile")
        assert api.must_ask(event)
        assert list(extract_facts(event)) == []
        fetched = await api.fetch(event)
    assert [fact.amount for fact in extract_facts(replace(event, body=fetched.body))] == [4590]


async def test_a_refund_is_of_the_payment_that_the_api_names() -> None:
    async with asking(GOCARDLESS) as (server, api):
        server.objects["RF1"] = REFUND
        (fact,) = extract_facts(await confirmed(api, an_event("refunds.paid")))
        assert (fact.kind, fact.amount, fact.object, fact.payment) == ("refunded", 1500, "RF1", "PM1")
        server.objects["RF1"] = {**REFUND, "links": {"mandate": "MD1"}}
        assert list(extract_facts(await confirmed(api, an_event("refunds.paid")))) == []


@pytest.mark.parametrize(
    ("history", "kind", "object_"),
    [
        ([], "failed", ""),
        ([("payments.confirmed", 1, -60)], "capture_failed", "EV1"),
        ([("payments.failed", 1, -60)], "failed", ""),
        ([("payments.confirmed", 1, -60), ("payments.failed", 2, -30)], "failed", ""),
        ([("payments.failed", 1, -60), ("payments.confirmed", 2, -30)], "capture_failed", "EV2"),
        ([("payments.confirmed", 1, -60), ("payments.failed", 2, -50), ("payments.confirmed", 3, -40)],
         "capture_failed", "EV3"),
        ([("payments.confirmed", 1, 60)], "failed", ""),
        ([("payments.confirmed", 1, -60), ("payments.paid_out", 2, -30)], "capture_failed", "EV1"),
    ],
)  # fmt: skip
async def test_a_failure_takes_back_what_was_confirmed_last(
    history: list[tuple[str, int, int]], kind: str, object_: str
) -> None:
    failure = an_event("payments.failed", 9)
    async with asking(GOCARDLESS, *(an_event(*each) for each in history), failure) as (server, api):
        server.objects["PM1"] = {**PAYMENT, "status": "failed"}
        (fact,) = extract_facts(await confirmed(api, failure))
    assert (fact.kind, fact.object, fact.amount) == (kind, object_, 4590)


async def test_only_the_object_of_the_event_is_believed() -> None:
    async with asking(GOCARDLESS) as (server, api):
        with pytest.raises(NotFoundError):
            await api.fetch(delivered(an_event()))
        server.objects["PM1"] = {**PAYMENT, "id": "PM2"}
        with pytest.raises(ApiUnexpectedError, match="another object"):
            await api.fetch(delivered(an_event()))
        for wrong in (an_event(payment=""), an_event("payouts.paid"), an_event(payment="../../creditors")):
            with pytest.raises(NotFoundError):
                await api.fetch(delivered(wrong))
    assert {request.path for request in server.requests} == {"/payments/PM1", "/payments/../../creditors"}


async def test_a_forged_object_in_a_delivery_gives_no_facts() -> None:
    """Who could sign a delivery could not make it say what the API says."""
    forged = {"event": an_event(), "payment": {"payments": PAYMENT}, **an_event()}
    assert list(extract_facts(delivered(forged))) == []


async def test_the_library_gets_the_same_objects() -> None:
    async with asking(GOCARDLESS) as (server, api):
        server.objects.update(PM1=PAYMENT, RF1=REFUND)
        client = gocardless_pro.Client(access_token=TOKEN, base_url=server.url)
        payment = await asyncio.to_thread(client.payments.get, "PM1")
        refund = await asyncio.to_thread(client.refunds.get, "RF1")
        facts = [
            *extract_facts(await confirmed(api, an_event())),
            *extract_facts(await confirmed(api, an_event("refunds.paid"))),
        ]
    assert [(fact.amount, fact.currency) for fact in facts] == [
        (payment.amount, payment.currency),
        (refund.amount, refund.currency),
    ]
    assert facts[1].payment == refund.links.payment


def test_a_source_without_a_token_says_what_is_missing() -> None:
    assert asking_problems("gocardless", {"confirm": "api"}) == [
        "api_key: needed to ask the API of provider gocardless"
    ]
    assert asking_problems("gocardless", {"confirm": "api", "api_key": "x"}) == []
    table = {"provider": "gocardless", "mode": "live", "api_key": "a-token-of-a-partners-app"}
    assert build_apis({"shop": table})["shop"].base_url == "https://api.gocardless.com"


async def test_events_about_no_money_are_not_asked_about() -> None:
    async with asking(GOCARDLESS) as (_, api):
        assert not api.must_ask(delivered(an_event("mandates.active", mandate="MD1")))
        assert not api.must_ask(delivered(an_event("payments.paid_out")))
        assert {type_ for type_ in TYPES if api.must_ask(delivered(an_event(type_)))} == set(TYPES)


async def test_a_refused_token_is_a_refusal_for_confirmation_too() -> None:
    async with asking(GOCARDLESS) as (server, api):
        server.token = "another"
        with pytest.raises(ApiRefusedError):
            await api.fetch(delivered(an_event()))


async def test_the_newest_come_first_and_every_page_is_read() -> None:
    async with asking(GOCARDLESS, *many(GOCARDLESS, 9)) as (server, api):
        server.page = 2
        found = await listed(api, HOUR)
        times = [event.parsed.occurred_at for event in found]
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]
    assert len(ids(found)) == 9
