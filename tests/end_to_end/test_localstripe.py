"""Stripe's own library drives localstripe, a third of whose webhooks is lost: the ledger equals what its API says."""

import asyncio
from typing import Any

import stripe

from tests.support.harness import Harness
from tests.support.local_stripe import BEHIND_S, KEY, SECRET, Relay, local_stripe, send_webhooks
from tests.support.stand_ins.stripe import StripeStandIn
from tests.support.wait import until

PAYMENTS = 18
DECLINED_EVERY, REFUNDED_EVERY = 6, 4

BOOKS = "SELECT payment_id, captured, refunded, currency FROM payments ORDER BY payment_id"


def sdk(url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        KEY, base_addresses={"api": url}, max_network_retries=0, http_client=stripe.RequestsClient()
    )


def pay(url: str) -> None:
    """Make payments, some of them declined, and refunds of some of the others."""
    client = sdk(url)
    for number in range(PAYMENTS):
        method = "pm_card_chargeCustomerFail" if number % DECLINED_EVERY == 1 else "pm_card_visa"
        created = {"amount": 1000 + number, "currency": "eur", "payment_method": method, "confirm": True}
        try:
            intent = client.v1.payment_intents.create(created)  # type: ignore[arg-type]
        except stripe.CardError:
            continue
        if number % REFUNDED_EVERY == 0:
            client.v1.refunds.create({"payment_intent": intent.id, "amount": 100 + number})


def what_the_api_says(url: str) -> list[tuple[str, int, int, str]]:
    """Return each payment's captured and refunded amounts."""
    client = sdk(url)
    refunded: dict[str, int] = {}
    for refund in client.v1.refunds.list({"limit": 100}).auto_paging_iter():
        refunded[str(refund.payment_intent)] = refunded.get(str(refund.payment_intent), 0) + refund.amount
    return sorted(
        (
            intent.id,
            intent.amount if intent.status == "succeeded" else 0,
            refunded.get(intent.id, 0),
            intent.currency.upper(),
        )
        for intent in client.v1.payment_intents.list({"limit": 100}).auto_paging_iter()
    )


def list_its_events(url: str, listed: StripeStandIn) -> int:
    """Fill Stripe's list. localstripe's own takes no `types`, and has no events of refunds: those are made of them."""
    client = sdk(url)
    events = [event.to_dict() for event in client.v1.events.list({"limit": 100}).auto_paging_iter()]
    for event in events:
        listed.add(event)
    for refund in client.v1.refunds.list({"limit": 100}).auto_paging_iter():
        about = refund.to_dict()
        listed.add(
            {"id": f"evt_{refund.id}", "type": "refund.created", "created": refund.created, "data": {"object": about}}
        )
    return len(events)


async def reconcile(harness: Harness, sources: str, *arguments: str) -> int:
    """Run the command to its end. Return its exit code: 1 where something differs and was not repaired."""
    env = {"REDIS_URL": harness.valkey.url, "DATABASE_URL": harness.database_url, "KEY_PREFIX": harness.prefix}
    path = harness.programs.folder / "reconcile.toml"
    path.write_text(sources)
    since = f"{2 * BEHIND_S}s"
    command = harness.programs.start(
        "operations", {**env, "SOURCES_FILE": str(path)}, ("reconcile", "stripe", "--since", since, *arguments)
    )
    return await asyncio.to_thread(command.wait)


async def test_the_ledger_equals_what_localstripe_says(harness: Harness) -> None:
    table = '[stripe]\nprovider = "stripe"\nmode = "test"\n'
    harness.sources_toml = f'{table}secrets = ["{SECRET}"]\ntolerance_s = {2 * BEHIND_S}\n'
    async with StripeStandIn().serving() as listed, Relay().serving() as relay, local_stripe(harness.programs) as url:
        await harness.add_gateways(1)
        sources = harness.programs.folder / "workers.toml"
        sources.write_text(harness.sources_toml)
        await harness.add_workers(1, {"SOURCES_FILE": str(sources)})
        relay.target = f"{harness.urls[0]}/webhooks/stripe"
        await send_webhooks(url, relay.url)
        await asyncio.to_thread(pay, url)
        sent = await asyncio.to_thread(list_its_events, url, listed)
        await until(lambda: relay.answered == sent, what="localstripe has sent its webhooks")
        assert set(relay.passed) == {202}
        assert relay.lost * 3 == sent == PAYMENTS
        await harness.drained()
        said = await asyncio.to_thread(what_the_api_says, url)
        assert await books(harness) != said

        listed.keys = {KEY}
        asking = f'{table}api_key = "{KEY}"\napi_url = "{listed.url}"\n'
        assert await reconcile(harness, asking) == 1
        assert await reconcile(harness, asking, "--repair") == 0
        await harness.drained()
        assert await books(harness) == said
        assert await reconcile(harness, asking) == 0
    assert await harness.broken_rules() == []


async def books(harness: Harness) -> list[tuple[Any, ...]]:
    async with harness.database() as connection:
        return [tuple(row) for row in await connection.fetch(BOOKS)]
