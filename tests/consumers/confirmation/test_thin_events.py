"""Stripe's thin events are booked from the objects they name, also where a reconciliation added them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from consumers.confirmation.access import Access
from consumers.settings import Settings
from contract.event import Event
from providers.stripe.api import StripeApi
from tests.support.confirming import Asking
from tests.support.consuming import Workers
from tests.support.events import contract_event
from tests.support.stand_ins.objects import Objects
from tests.support.stand_ins.stripe import StripeStandIn
from tests.support.stripe_api import access as stripe_access

REFUND = {"id": "re_1", "object": "refund", "amount": 200, "currency": "eur", "charge": "ch_1",
          "payment_intent": "pi_1", "balance_transaction": "txn_1", "status": "succeeded"}  # fmt: skip
INTENT = {"id": "pi_1", "object": "payment_intent", "amount": 700, "amount_received": 700, "currency": "eur",
          "status": "succeeded", "livemode": False}  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[StripeStandIn]:
    async with StripeStandIn().serving() as stand_in:
        yield stand_in


@pytest.fixture
def access(server: StripeStandIn) -> Access:
    return Access({"stripe": StripeApi(stripe_access(server, confirm="api", events="thin"))})


def thin(type_: str, id_: str, **changed: Any) -> Event:
    body = {"id": f"evt_{id_}", "type": f"v1.{type_}", "created": "2026-11-26T11:00:00.120Z",
            "related_object": {"id": id_, "url": "https://elsewhere.invalid/"}}  # fmt: skip
    return contract_event(f"evt_{id_}", id_, type=f"v1.{type_}", body=json.dumps(body).encode(), **changed)


@pytest.mark.parametrize("came", [{}, {"signed": "api", "origin": "reconcile"}])
async def test_a_thin_event_is_booked_from_its_object(
    workers: Workers, settings: Settings, access: Access, server: StripeStandIn, api: Objects, came: dict[str, Any]
) -> None:
    server.objects = {"/v1/payment_intents/pi_1": INTENT, "/v1/refunds/re_1": REFUND}
    asking = Asking(workers, settings, access, api)
    await asking.publish(thin("payment_intent.succeeded", "pi_1", **came), thin("refund.created", "re_1", **came))
    async with asking.working():
        await asking.decided(evt_pi_1="confirmed", evt_re_1="confirmed")
    assert await asking.transfers() == [("capture:pi_1", 700, "EUR"), ("refund:re_1", 200, "EUR")]
    assert await workers.rows("SELECT payment_id, captured, refunded FROM payments") == [("pi_1", 700, 200)]
    await asking.assert_sound()


async def test_a_thin_event_about_something_else_is_recorded_only(
    workers: Workers, settings: Settings, access: Access, server: StripeStandIn, api: Objects
) -> None:
    asking = Asking(workers, settings, access, api)
    await asking.publish(thin("charge.updated", "ch_1"))
    async with asking.working():
        await workers.drained()
    assert await asking.states() == {}
    assert server.requests == []
    await asking.assert_sound()
