"""Stripe's list of events: every event of a window, as it would have been delivered, however the list changes."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from providers.api import ApiRefusedError, ApiUnavailableError, ApiUnexpectedError, Listed, Window
from providers.stripe.api import StripeApi
from providers.stripe.facts import TYPES
from providers.stripe.settings import StripeAccess
from providers.stripe.thin import MONEY_TYPES
from tests.support.cases.stripe import StripeCase
from tests.support.stand_ins.stand_in import Mishap, status, text
from tests.support.stand_ins.stripe import ACCOUNT, StripeStandIn, locked, rate_limited
from tests.support.stripe_api import access, asking

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = Window(BEGAN, BEGAN + timedelta(hours=1))


@pytest.fixture
async def stripe_api() -> AsyncIterator[StripeStandIn]:
    async with StripeStandIn().serving() as server:
        yield server


def event(number: int, type_: str = "payment_intent.succeeded", after_s: float = 0) -> dict[str, Any]:
    about = {"id": f"pi_{number}", "object": "payment_intent", "amount": 1099, "currency": "eur"}
    created = int(BEGAN.timestamp() + after_s)
    return {"id": f"evt_{number}", "type": type_, "created": created, "data": {"object": about}}


async def listed(server: StripeStandIn, window: Window = HOUR, **changed: Any) -> list[Listed]:
    async with asking(server, **changed) as api:
        return [each async for page in api.list_events(window) for each in page]


def ids(found: list[Listed]) -> list[str]:
    return sorted(each.parsed.event_id for each in found)


async def test_a_listed_event_is_what_a_delivery_of_it_is(stripe_api: StripeStandIn) -> None:
    made = stripe_api.add({**event(1), "livemode": False, "note": "é 1.50"})
    (found,) = await listed(stripe_api)
    raw = json.dumps(made)
    case = StripeCase()
    (delivered,) = await case.source().verify(case.deliver(raw).request())
    assert found.parsed.event_id == delivered.event.event_id
    assert (found.parsed.type, found.parsed.resource) == (delivered.event.type, delivered.event.resource)
    assert (found.parsed.occurred_at, found.parsed.mode) == (delivered.event.occurred_at, delivered.event.mode)
    assert json.loads(found.body) == made


async def test_an_item_keeps_the_bytes_that_were_sent(stripe_api: StripeStandIn) -> None:
    item = b'{"id":"evt_1",  "type":"charge.failed","created":1793534400,"amount":1.10e2,"x":"\\u00e9"}'
    stripe_api.mishaps.append(text(b'{"object":"list","has_more":false,"data":[' + item + b"]}"))
    assert [each.body for each in await listed(stripe_api)] == [item]


async def test_all_pages_are_read_of_every_type_that_reports_money(stripe_api: StripeStandIn) -> None:
    types = sorted(TYPES)
    for number in range(460):
        stripe_api.add(event(number, types[number % len(types)], after_s=number))
    stripe_api.add(event(900, "customer.created"))
    assert len(set(ids(await listed(stripe_api)))) == 460
    assert all(len([name for name in seen.query if name.startswith("types")]) <= 20 for seen in stripe_api.requests)


async def test_a_window_begins_with_its_first_second_and_ends_before_its_last(stripe_api: StripeStandIn) -> None:
    for number, after_s in enumerate((-1, 0, 3599, 3600)):
        stripe_api.add(event(number, after_s=after_s))
    assert ids(await listed(stripe_api)) == ["evt_1", "evt_2"]
    halves = [each for half in Window(BEGAN, BEGAN + timedelta(seconds=1)).halves() for each in half.halves()]
    assert [await listed(stripe_api, part) != [] for part in halves] == [True, False, False, False]


async def test_events_that_come_while_the_list_is_read_move_nothing_out_of_it(stripe_api: StripeStandIn) -> None:
    for number in range(250):
        stripe_api.add(event(number, after_s=number))
    stripe_api.before_page = [lambda n=n: stripe_api.add(event(1000 + n, after_s=300 + n)) for n in range(5)]  # type: ignore[misc]
    assert {f"evt_{number}" for number in range(250)} <= set(ids(await listed(stripe_api)))


async def test_what_is_listed_late_is_found_by_a_later_reading(stripe_api: StripeStandIn) -> None:
    stripe_api.add(event(1))
    stripe_api.add(event(2, after_s=1))
    stripe_api.late = {"evt_1"}
    assert ids(await listed(stripe_api)) == ["evt_2"]
    stripe_api.late.clear()
    assert ids(await listed(stripe_api)) == ["evt_1", "evt_2"]
    assert StripeApi.lag >= timedelta(minutes=1)


@pytest.mark.parametrize("mishap", [rate_limited(), rate_limited("endpoint-concurrency"), locked(), status(500)])
async def test_limits_locks_and_faults_are_waited_for(stripe_api: StripeStandIn, mishap: Mishap) -> None:
    stripe_api.add(event(1))
    stripe_api.mishaps.extend([mishap, mishap])
    assert ids(await listed(stripe_api)) == ["evt_1"]


async def test_a_limit_that_does_not_end_is_an_outage(stripe_api: StripeStandIn) -> None:
    stripe_api.mishaps.extend([rate_limited()] * 4)
    with pytest.raises(ApiUnavailableError, match="429"):
        await listed(stripe_api)


async def test_a_wrong_key_and_one_without_the_right_are_refused_without_showing_it(stripe_api: StripeStandIn) -> None:
    stripe_api.restricted["rk_test_narrow"] = {"charges"}
    for key, code in (("sk_test_wrong", 401), ("rk_test_narrow", 403)):
        with pytest.raises(ApiRefusedError) as refused:
            await listed(stripe_api, api_key=key)
        assert refused.value.status == code
        assert key not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b'{"data":5}', b'{"data":[],"has_more":true}',
     b'{"data":[{"id":"evt_1","type":"charge.failed","created":1793534400}],"has_more":true}', b'{"data":[]}',
     b'{"data":[],"has_more":"false"}'],
)  # fmt: skip
async def test_a_page_that_is_not_as_documented_ends_the_reading(stripe_api: StripeStandIn, answer: bytes) -> None:
    stripe_api.mishaps.extend([text(answer)] * 2)
    with pytest.raises(ApiUnexpectedError):
        await listed(stripe_api)
    stripe_api.mishaps.clear()
    stripe_api.mishaps.append(text(b'{"data":[]}'))
    with pytest.raises(ApiUnexpectedError, match="next page"):
        await listed(stripe_api, events="thin")


async def test_the_events_of_a_connected_account_name_it(stripe_api: StripeStandIn) -> None:
    stripe_api.add(event(1))
    stripe_api.add(event(2), account="acct_1Shop")
    (found,) = await listed(stripe_api, account="acct_1Shop")
    assert (found.parsed.event_id, found.parsed.account) == ("evt_2", "acct_1Shop")
    stripe_api.keys.add("sk_org_test_1")
    assert ids(await listed(stripe_api, account="acct_1Shop", api_key="sk_org_test_1")) == ["evt_2"]
    assert await listed(stripe_api, account="acct_1Shop", events="thin") == []
    assert not StripeApi(access(stripe_api, account="acct_1Shop")).is_exhaustive
    assert StripeApi(access(stripe_api)).is_exhaustive
    with pytest.raises(ValidationError):
        access(stripe_api, account="acct_1\r\nHost: x")


async def test_a_source_of_thin_events_reads_their_list(stripe_api: StripeStandIn) -> None:
    stripe_api.add(event(500))
    types = sorted(MONEY_TYPES)
    for number in range(150):
        at = (BEGAN + timedelta(seconds=number, milliseconds=500)).isoformat().replace("+00:00", "Z")
        about = {"id": f"pi_{number}", "type": "payment_intent", "url": "https://elsewhere.invalid/"}
        stripe_api.thin.append(
            {"id": f"evt_{number}", "object": "v2.core.event", "type": types[number % 2], "created": at,
             "livemode": False, "context": None, "related_object": about}
        )  # fmt: skip
    found = await listed(stripe_api, events="thin")
    assert len(found) == 150
    assert {each.parsed.resource for each in found} == {f"pi_{number}" for number in range(150)}
    assert len(await listed(stripe_api, Window(BEGAN, BEGAN + timedelta(seconds=10)), events="thin")) == 10


@pytest.mark.parametrize("address", ["https://elsewhere.invalid/v2/core/events?page=2", "/v1/charges?page=2", "//x/"])
async def test_a_next_page_that_is_another_address_is_not_asked(stripe_api: StripeStandIn, address: str) -> None:
    stripe_api.mishaps.append(text(json.dumps({"data": [], "next_page_url": address}).encode()))
    with pytest.raises(ApiUnexpectedError, match="next page"):
        await listed(stripe_api, events="thin")
    assert len(stripe_api.requests) == 1


async def test_a_source_chooses_the_types_that_are_compared(stripe_api: StripeStandIn) -> None:
    for number, type_ in enumerate(("payout.paid", "charge.failed", "payment_intent.succeeded")):
        stripe_api.add(event(number, type_))
    assert ids(await listed(stripe_api, reconcile_types=["payout.paid"])) == ["evt_0"]
    assert ids(await listed(stripe_api, reconcile_types=["charge.*"])) == ["evt_0", "evt_1", "evt_2"]


async def test_the_check_names_the_account_and_finds_what_a_key_may_not_read(stripe_api: StripeStandIn) -> None:
    async with asking(stripe_api) as api:
        assert await api.check() == f"Stripe account {ACCOUNT}, test mode"
    stripe_api.restricted["rk_test_events"] = {"events"}
    async with asking(stripe_api, api_key="rk_test_events") as api:
        assert await api.check() == "Stripe account of the key, test mode"
    async with asking(stripe_api, api_key="rk_test_events", confirm="api") as api:
        with pytest.raises(ApiRefusedError, match="payment_intents"):
            await api.check()
    stripe_api.add({**event(1), "livemode": True})
    async with asking(stripe_api) as api:
        with pytest.raises(ApiUnexpectedError, match="another mode"):
            await api.check()


@pytest.mark.parametrize(
    ("key", "mode", "sentence"),
    [
        ("sk_test_1", "live", "test mode"), ("rk_live_1", "test", "live mode"), ("sk_org_live_1", "test", "live mode"),
        ("pk_live_1", "live", "publishable"), ("pk_test_1", "live", "publishable"),
        ("sk_org_live_1", "live", "an organization"), ("sk_live_1\n", "live", "white space"),
    ],
)  # fmt: skip
async def test_a_key_of_the_other_mode_is_refused(key: str, mode: str, sentence: str) -> None:
    table = {"source": "stripe", "namespace": "stripe", "mode": mode, "api_key": key}
    with pytest.raises(ValidationError, match=sentence) as refused:
        StripeAccess.model_validate(table)
    assert key not in str(refused.value)
    for accepted in ("rk_live_1", "sk_live_1", "something-new"):
        StripeAccess.model_validate({**table, "mode": "live", "api_key": accepted})
