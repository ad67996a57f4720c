"""Thin events: their objects are fetched by id, and say the same about money as the snapshot of the same change."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.event import Event
from contract.facts import Fact
from providers.api import ApiRefusedError, ApiUnexpectedError, NotFoundError
from providers.facts import UnreadableError
from providers.stripe.api import VERSION, StripeApi
from providers.stripe.facts import TYPES, extract_facts
from providers.stripe.identity import parse_event
from providers.stripe.thin import MONEY_TYPES
from tests.support.stand_ins.stand_in import text
from tests.support.stand_ins.stripe import KEY, StripeStandIn
from tests.support.stripe_api import asking

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)

INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 1500,
    "amount_received": 0,
    "currency": "eur",
    "latest_charge": None,
    "last_payment_error": None,
    "status": "requires_payment_method",
    "livemode": False,
}
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 1500,
    "amount_captured": 0,
    "amount_refunded": 0,
    "captured": False,
    "currency": "eur",
    "payment_intent": "pi_1",
    "status": "pending",
    "livemode": False,
}
REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 500,
    "currency": "eur",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "balance_transaction": "txn_1",
    "status": "succeeded",
}
DISPUTE = {
    "id": "dp_1",
    "object": "dispute",
    "amount": 1500,
    "currency": "eur",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "balance_transactions": [],
    "status": "needs_response",
    "livemode": False,
}
PAID = {"captured": True, "amount_captured": 1500, "status": "succeeded"}
TAKEN = [{"amount": -1500, "currency": "eur", "created": 1, "reporting_category": "dispute"}]

CASES: list[tuple[str, dict[str, Any]]] = [
    ("payment_intent.created", INTENT),
    ("payment_intent.processing", {**INTENT, "status": "processing"}),
    ("payment_intent.requires_action", {**INTENT, "status": "requires_action"}),
    ("payment_intent.amount_capturable_updated", {**INTENT, "status": "requires_capture"}),
    ("payment_intent.payment_failed", {**INTENT, "last_payment_error": {"code": "card_declined"}}),
    ("payment_intent.canceled", {**INTENT, "status": "canceled"}),
    ("payment_intent.canceled", {**INTENT, "status": "canceled", "amount_received": 700}),
    ("payment_intent.succeeded", {**INTENT, "status": "succeeded", "amount_received": 1500}),
    ("charge.pending", CHARGE),
    ("charge.failed", {**CHARGE, "status": "failed"}),
    ("charge.succeeded", {**CHARGE, "status": "succeeded"}),
    ("charge.succeeded", {**CHARGE, **PAID}),
    ("charge.captured", {**CHARGE, **PAID}),
    ("charge.captured", {**CHARGE, **PAID, "payment_intent": None}),
    ("charge.refunded", {**CHARGE, **PAID, "amount_refunded": 500}),
    ("charge.refunded", {**CHARGE, **PAID, "amount_refunded": 500, "refunds": {"data": [REFUND]}}),
    ("refund.created", REFUND),
    ("refund.created", {**REFUND, "balance_transaction": None, "status": "pending"}),
    ("refund.failed", {**REFUND, "status": "failed"}),
    ("charge.refund.updated", REFUND),
    ("charge.dispute.created", DISPUTE),
    ("charge.dispute.updated", {**DISPUTE, "balance_transactions": TAKEN}),
    ("charge.dispute.closed", {**DISPUTE, "status": "lost", "balance_transactions": TAKEN}),
]
"""What a snapshot event reports, and its object."""

PATHS = {"payment_intent": "payment_intents", "charge": "charges", "refund": "refunds", "dispute": "disputes"}


@pytest.fixture
async def server() -> AsyncIterator[StripeStandIn]:
    async with StripeStandIn().serving() as stand_in:
        yield stand_in


@pytest.fixture
async def api(server: StripeStandIn) -> AsyncIterator[StripeApi]:
    async with asking(server, confirm="api") as opened:
        yield opened


def received(body: dict[str, Any]) -> Event:
    """Return an event of a signed delivery."""
    raw = json.dumps(body).encode()
    parsed = parse_event(raw)
    return Event(
        source="stripe", namespace="stripe", provider="stripe", event_id=parsed.event_id, type=parsed.type,
        resource=parsed.resource, occurred_at=parsed.occurred_at, received_at=NOW, signed="body", body=raw,
        mode=parsed.mode, account=parsed.account,
    )  # fmt: skip


def snapshot(type_: str, about: dict[str, Any]) -> Event:
    return received({"id": "evt_snapshot", "type": type_, "created": 1_795_690_800, "data": {"object": about}})


def thin(type_: str, id_: str, **changed: Any) -> Event:
    related = {"id": id_, "type": "?", "url": "https://elsewhere.invalid/v1/charges/ch_stolen"}
    return received(
        {"id": "evt_thin", "object": "v2.core.event", "type": f"v1.{type_}", "created": "2026-11-26T11:00:00.120Z",
         "livemode": False, "context": None, "related_object": related, **changed}
    )  # fmt: skip


async def confirmed(api: StripeApi, event: Event) -> Event:
    """Return the event with what was fetched in place of its body, as it is booked."""
    fetched = await api.fetch(event)
    return replace(event, body=fetched.body, type=fetched.type, headers=fetched.headers, signed="api")


def booked(event: Event) -> set[tuple[str, Fact]]:
    """Return the facts with the payment that each is booked for."""
    return {(fact.payment or event.resource, replace(fact, payment="")) for fact in extract_facts(event)}


@pytest.mark.parametrize(("type_", "about"), CASES)
async def test_a_thin_event_reports_what_its_snapshot_reports_under_the_same_names(
    server: StripeStandIn, api: StripeApi, type_: str, about: dict[str, Any]
) -> None:
    server.objects[f"/v1/{PATHS[about['object']]}/{about['id']}"] = about
    event = thin(type_, about["id"])
    assert booked(event) == set()
    assert booked(await confirmed(api, event)) == booked(snapshot(type_, about))


async def test_every_type_that_reports_money_is_asked_for_and_no_other(api: StripeApi) -> None:
    for type_ in TYPES:
        assert api.must_ask(thin(type_, "x_1"))
        assert not api.must_ask(snapshot(type_, INTENT))
    for type_ in ("charge.updated", "billing.meter.no_meter_found"):
        assert not api.must_ask(thin(type_, "x_1"))
    assert {f"v1.{type_}" for type_ in TYPES} == MONEY_TYPES


async def test_what_happened_after_the_event_is_booked_as_it_is_now(server: StripeStandIn, api: StripeApi) -> None:
    paid = {**INTENT, "status": "succeeded", "amount_received": 1500}
    server.objects["/v1/payment_intents/pi_1"] = paid
    event = await confirmed(api, thin("payment_intent.created", "pi_1"))
    assert event.type == "payment_intent.succeeded"
    assert booked(event) == booked(snapshot("payment_intent.succeeded", paid))


async def test_only_the_id_is_taken_from_the_event(server: StripeStandIn, api: StripeApi) -> None:
    server.objects["/v1/charges/ch_1"] = {**CHARGE, **PAID}
    server.objects["/v1/charges/ch_stolen"] = {**CHARGE, **PAID, "id": "ch_stolen", "amount": 99}
    await api.fetch(thin("charge.succeeded", "ch_1", context="acct_1Shop"))
    (request,) = server.requests
    assert (request.path, request.query) == ("/v1/charges/ch_1", {"expand[]": "refunds"})
    assert (request.headers["Stripe-Context"], request.headers["Stripe-Version"]) == ("acct_1Shop", VERSION)
    assert "Stripe-Account" not in request.headers


async def test_an_id_cannot_lead_to_another_path(server: StripeStandIn, api: StripeApi) -> None:
    server.objects["/v1/charges/ch_1"] = CHARGE
    with pytest.raises(NotFoundError):
        await api.fetch(thin("payment_intent.succeeded", "../charges/ch_1"))
    with pytest.raises(NotFoundError):
        await api.fetch(thin("payment_intent.succeeded", ".."))
    with pytest.raises(NotFoundError):
        await api.fetch(thin("payment_intent.succeeded", "x", related_object=None))


async def test_an_account_that_is_no_account_is_not_asked_for(server: StripeStandIn, api: StripeApi) -> None:
    with pytest.raises(ApiUnexpectedError, match="context"):
        await api.fetch(thin("payment_intent.succeeded", "pi_1", context="acct_1; x"))
    assert server.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        {**INTENT, "id": "pi_2", "status": "succeeded"}, {**CHARGE, "id": "pi_1", "status": "succeeded"},
        {**INTENT, "status": "succeeded", "livemode": True}, [], {"id": "pi_1"},
    ],
)  # fmt: skip
async def test_another_object_than_the_one_asked_for_is_not_booked(
    server: StripeStandIn, api: StripeApi, answer: object
) -> None:
    server.mishaps.append(text(json.dumps(answer).encode()))
    with pytest.raises(ApiUnexpectedError):
        await api.fetch(thin("payment_intent.succeeded", "pi_1"))


async def test_a_payment_that_no_event_can_name_is_not_booked(server: StripeStandIn, api: StripeApi) -> None:
    for payment in ("pi_\0", "pi_" + "1" * 300):
        server.objects["/v1/charges/ch_1"] = {**CHARGE, **PAID, "payment_intent": payment}
        with pytest.raises(UnreadableError, match="its payment"):
            booked(await confirmed(api, thin("charge.succeeded", "ch_1")))


@pytest.mark.parametrize("about", [INTENT, CHARGE])
async def test_a_status_that_is_not_documented_books_nothing(
    server: StripeStandIn, api: StripeApi, about: dict[str, Any]
) -> None:
    server.objects[f"/v1/{PATHS[about['object']]}/{about['id']}"] = {**about, "status": "new"}
    type_ = {"payment_intent": "payment_intent.created", "charge": "charge.pending"}[about["object"]]
    with pytest.raises(ApiUnexpectedError, match="status"):
        await api.fetch(thin(type_, about["id"]))


async def test_an_object_that_is_older_than_its_event_is_asked_for_again(server: StripeStandIn, api: StripeApi) -> None:
    server.objects["/v1/payment_intents/pi_1"] = {**INTENT, "status": "processing"}
    with pytest.raises(NotFoundError, match="not yet succeeded"):
        await api.fetch(thin("payment_intent.succeeded", "pi_1"))


async def test_a_key_that_may_not_read_the_object_is_refused(server: StripeStandIn, api: StripeApi) -> None:
    server.keys.clear()
    server.restricted[KEY] = {"events"}
    with pytest.raises(ApiRefusedError, match="403"):
        await api.fetch(thin("payment_intent.succeeded", "pi_1"))
