"""Flutterwave v3 with its secret key: what the API says of a transaction is booked, whatever the event claims."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from consumers.confirmation import asker
from consumers.confirmation.access import Access
from consumers.settings import Settings
from contract.event import Event
from providers.flutterwave_v3.api import FlutterwaveV3Access, FlutterwaveV3Api
from tests.support.cases.base import Signed
from tests.support.confirming import Asking
from tests.support.consuming import Workers
from tests.support.provider_cases import CASES
from tests.support.stand_ins.flutterwave import KEY, FlutterwaveV3

CASE = CASES["flutterwave_v3"]


@pytest.fixture
async def flutterwave() -> AsyncIterator[FlutterwaveV3]:
    async with FlutterwaveV3().serving() as server:
        yield server


@pytest.fixture
def asking(workers: Workers, settings: Settings, flutterwave: FlutterwaveV3, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """Workers of a source with `confirm = "api"`."""
    monkeypatch.setattr(asker, "LOOK_EVERY_S", 0.05)
    table = {"source": "a", "namespace": "a", "mode": "test", "api_key": KEY, "api_url": flutterwave.url}
    api = FlutterwaveV3Api(FlutterwaveV3Access.model_validate(table))
    return Asking(workers, settings, Access({"a": api}), cast("Any", flutterwave))


async def verified(transaction: dict[str, Any]) -> Event:
    """Return the event as the gateway verifies it, and publishes it."""
    request: Signed = CASE.deliver(json.dumps({"event": "charge.completed", "data": transaction}))
    (delivery,) = await CASE.source().verify(request.request())
    assert delivery.event.signed == "reference"
    return delivery.event


async def test_only_what_the_api_says_is_booked(asking: Asking, flutterwave: FlutterwaveV3) -> None:
    transaction = flutterwave.has_transaction(7, "order-1", 100.5)
    claimed = {**transaction, "amount": 99_999, "currency": "USD"}
    event = await verified(claimed)
    await asking.publish(event)
    async with asking.working():
        await asking.decided(**{event.event_id: "confirmed"})
    assert await asking.transfers() == [("capture:7", 10050, "NGN")]
    await asking.assert_sound()


async def test_an_invented_transaction_or_one_of_another_payment_moves_nothing(
    asking: Asking, flutterwave: FlutterwaveV3
) -> None:
    transaction = flutterwave.has_transaction(7, "order-1", 100.5)
    invented = await verified({**transaction, "id": 8})
    other = await verified({**transaction, "tx_ref": "order-2"})
    await asking.publish(invented, other)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(**{invented.event_id: "not_found", other.event_id: "not_found"})
    assert await asking.transfers() == []
    await asking.assert_sound()
