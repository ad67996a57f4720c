"""Checkout.com's events, found by their payments and disputes."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from providers.api import ApiUnexpectedError
from providers.checkout.api import PAGE_DISPUTES, PAYMENT_AGE
from tests.support.event_lists import HOUR, LISTS, NOON, asking, ids, listed, many, text
from tests.support.stand_ins.stand_in import status
from tests.support.stand_ins.stand_in import text as bytes_

CHECKOUT = LISTS["checkout"]


def refund(number: int, payment: int, at: datetime) -> dict[str, Any]:
    event = CHECKOUT.event(number, at)
    data = {**event["data"], "id": f"pay_{payment}", "action_id": f"act_{number}"}
    return {**event, "type": "payment_refunded", "data": data}


def dispute(number: int, at: datetime, type_: str = "dispute_received") -> dict[str, Any]:
    event = CHECKOUT.event(number, at)
    data = {"id": f"dsp_{number}", "payment_id": "pay_old", "amount": 1099, "currency": "EUR"}
    return {**event, "type": type_, "data": data, "timestamp": event.pop("created_on")}


@pytest.mark.parametrize(("age", "is_found"), [(timedelta(days=10), True), (PAYMENT_AGE + timedelta(hours=2), False)])
async def test_what_happened_to_an_older_payment_is_found_by_its_action(age: timedelta, *, is_found: bool) -> None:
    async with asking(CHECKOUT, CHECKOUT.event(1, NOON - age), refund(2, 1, NOON)) as (_, api):
        assert ids(await listed(api)) == (["evt_2"] if is_found else [])


async def test_the_events_of_a_payment_to_which_nothing_happened_are_not_read() -> None:
    async with asking(CHECKOUT, *many(CHECKOUT, 20, NOON - timedelta(days=3)), CHECKOUT.event(99, NOON)) as (
        server,
        api,
    ):
        assert ids(await listed(api)) == ["evt_99"]
    assert len(server.requests) == 4  # a search, the events of one payment, one event, the disputes


async def test_a_payment_that_does_not_say_what_happened_to_it_is_asked_about() -> None:
    async with asking(CHECKOUT, CHECKOUT.event(1, NOON - timedelta(days=3)), refund(2, 1, NOON)) as (server, api):
        del server.payments["pay_1"]["actions"]
        assert ids(await listed(api)) == ["evt_2"]


async def test_a_dispute_is_found_whatever_the_age_of_its_payment() -> None:
    async with asking(CHECKOUT, dispute(1, NOON)) as (server, api):
        server.payments.clear()
        (found,) = await listed(api)
    assert (found.parsed.type, found.parsed.resource) == ("dispute_received", "pay_old")


async def test_disputes_that_change_while_they_are_read_are_all_found() -> None:
    """One that has not been read moves to the front, and the others by one."""
    count = PAGE_DISPUTES + 20
    disputes = [dispute(number, NOON + timedelta(seconds=number)) for number in range(count)]
    async with asking(CHECKOUT, *disputes) as (server, api):
        server.payments.clear()
        server.late.extend([CHECKOUT.event(9999, NOON), dispute(3, NOON + timedelta(minutes=50), "dispute_lost")])
        found = ids(await listed(api))
    assert set(found) >= {f"evt_{number}" for number in range(count)}


async def test_an_event_that_is_listed_and_is_not_there_ends_nothing() -> None:
    async with asking(CHECKOUT, *many(CHECKOUT, 2)) as (server, api):
        server.mishaps.extend([None, None, status(404)])
        found = await listed(api)
    assert sorted((each.parsed.event_id, bool(each.unreadable)) for each in found) == [
        ("evt_0", True),
        ("evt_1", False),
    ]


async def test_only_types_that_are_compared_are_read() -> None:
    odd = {**CHECKOUT.event(2, NOON), "type": "payment_capture_pending"}
    async with asking(CHECKOUT, CHECKOUT.event(1, NOON), odd) as (_, api):
        assert ids(await listed(api)) == ["evt_1"]
        api.access = api.access.model_copy(update={"reconcile_types": ("payment_capture_*",)})
        assert ids(await listed(api)) == ["evt_2"]


async def test_a_next_page_is_asked_of_the_accounts_own_host_and_is_one_of_a_search() -> None:
    async with asking(CHECKOUT, *many(CHECKOUT, 5)) as (server, api):
        server.page = 2
        assert len(await listed(api)) == 5
        paths = [request.path for request in server.requests if request.path.startswith("/payments")]
        assert paths == ["/payments/search", "/payments/search/0", "/payments/search/0"]
        server.mishaps.append(bytes_(b'{"data": [], "_links": {"next": {"href": "https://evil.example/disputes"}}}'))
        with pytest.raises(ApiUnexpectedError, match="not one of a search"):
            await listed(api)


async def test_times_in_a_page_are_read_as_checkout_writes_them() -> None:
    async with asking(CHECKOUT, CHECKOUT.event(1, NOON)) as (server, api):
        server.payments["pay_1"]["requested_on"] = text(NOON - timedelta(days=2))
        server.payments["pay_1"]["actions"][0]["processed_on"] = "2026-09-17T12:00:00.3448464ZZ"
        assert ids(await listed(api, HOUR)) == ["evt_1"]
