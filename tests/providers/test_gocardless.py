"""GoCardless: a batch is verified whole, and each of its events has its own id, resource and bytes."""

import json
from typing import Any

import pytest

from contract.event import Event
from providers import PROVIDERS
from providers.base import PayloadError
from providers.payload import BATCH_EVENTS_MAX
from tests.support.cases.raw_body import GoCardlessCase

GOCARDLESS = GoCardlessCase()


async def events_of(body: dict[str, Any] | str) -> list[Event]:
    signed = GOCARDLESS.deliver(body if isinstance(body, str) else GOCARDLESS.write(body))
    return [delivery.event for delivery in await GOCARDLESS.source().verify(signed.request())]


async def event_of(body: dict[str, Any] | str) -> Event:
    (event,) = await events_of(body)
    return event


def batch(*numbers: str) -> dict[str, Any]:
    (event,) = GOCARDLESS.event("x")["events"]
    return {"events": [{**event, "id": number, "links": {"payment": f"PM{number}"}} for number in numbers]}


async def test_each_event_of_a_batch_has_its_own_id_resource_and_bytes() -> None:
    body = json.dumps(batch("1", "2", "3"), indent=1)
    events = await events_of(body)
    assert [(event.event_id, event.resource) for event in events] == [("1", "PM1"), ("2", "PM2"), ("3", "PM3")]
    assert [json.loads(event.body) for event in events] == json.loads(body)["events"]
    assert all(event.body.decode() in body for event in events)


@pytest.mark.parametrize(
    ("resource_type", "links", "resource"),
    [
        ("payments", {"payment": "PM1"}, "PM1"),
        ("refunds", {"refund": "RF1", "payment": "PM1"}, "PM1"),
        ("refunds", {"refund": "RF1"}, "RF1"),
        ("mandates", {"mandate": "MD1", "organisation": "OR1"}, "MD1"),
        ("somethings", {"other": "X1"}, "EV1"),
        ("payouts", None, "EV1"),
    ],
)
async def test_a_gocardless_event_is_about_its_payment(resource_type: str, links: Any, resource: str) -> None:
    (event,) = GOCARDLESS.event("x")["events"]
    body = {"events": [{**event, "resource_type": resource_type, "links": links}]}
    assert (await event_of(body)).resource == resource


async def test_one_bad_event_refuses_the_whole_batch() -> None:
    body = batch("1", "2")
    del body["events"][1]["id"]
    with pytest.raises(PayloadError):
        await events_of(body)


async def test_a_batch_is_bounded_and_may_be_empty() -> None:
    assert await events_of({"events": []}) == []
    assert len(await events_of(batch(*map(str, range(250))))) == 250
    with pytest.raises(PayloadError):
        await events_of(batch(*map(str, range(BATCH_EVENTS_MAX + 1))))


def test_gocardless_expects_status_498() -> None:
    assert PROVIDERS["gocardless"].unauthorized_status == 498
