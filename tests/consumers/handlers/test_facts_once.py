"""A handler receives a fact once, however many events, batches, workers and attempts report it."""

import json
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from consumers.handlers import Connection, Event, Handlers, PaymentFact, Reject
from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.facts import Kind
from tests.support.consuming import QUICK_ENV, Workers
from tests.support.events import contract_event
from tests.support.processes import Programs

RECEIVED = """
    CREATE TABLE received (
        kind text, payment_id text, object text, amount bigint, currency text, key uuid, event_id text
    )
"""
FACTS = "SELECT kind, payment_id, object, amount, currency FROM received ORDER BY kind, payment_id, object"
KINDS: tuple[Kind, ...] = (
    "authorized", "captured", "refunded", "refund_failed", "failed", "canceled", "dispute_opened", "dispute_won",
    "dispute_lost", "funds_withdrawn", "funds_reinstated",
)  # fmt: skip

recorder = Handlers()


async def write_down(connection: Connection, event: Event, fact: PaymentFact) -> None:
    await connection.execute(
        "INSERT INTO received VALUES ($1, $2, $3, $4, $5, $6, $7)",
        fact.kind, fact.payment_id, fact.object, fact.amount, fact.currency, fact.idempotency_key, event.event_id,
    )  # fmt: skip


for kind in KINDS:
    recorder.on_fact(kind)(write_down)

HANDLERS = builtin({}).joined_with(recorder)
"""Also loaded by a worker in a process of its own."""


def stripe(event_id: str, type_: str, payment: str = "pi_1", **fields: Any) -> Event:
    about = {"id": payment, "amount": 1000, "currency": "eur", "payment_intent": payment, **fields}
    document = {"id": event_id, "type": type_, "created": 1772445013, "data": {"object": about}}
    return contract_event(event_id, payment, type=type_, body=json.dumps(document).encode())


INTENT = stripe("evt_intent", "payment_intent.succeeded", amount_received=1000)
CHARGE = stripe("evt_charge", "charge.succeeded", captured=True, amount_captured=1000)
CHARGE_AGAIN = stripe("evt_again", "charge.captured", captured=True, amount_captured=1000)
REFUND: dict[str, Any] = {"id": "re_1", "amount": 400}
DISPUTE: dict[str, Any] = {"id": "dp_1", "amount": 500}
TRANSFERS = [
    INTENT, CHARGE, CHARGE_AGAIN,
    stripe("evt_refund_1", "refund.created", **REFUND),
    stripe("evt_refund_2", "refund.updated", **REFUND),
    stripe("evt_refund_3", "refund.failed", **REFUND, status="failed"),
]  # fmt: skip
TRANSFERS_RECEIVED = [
    ("authorized", "pi_1", "", 1000, "EUR"), ("captured", "pi_1", "pi_1", 1000, "EUR"),
    ("refund_failed", "pi_1", "re_1", 400, "EUR"), ("refunded", "pi_1", "re_1", 400, "EUR"),
]  # fmt: skip
STATES = [
    stripe("evt_failed_1", "payment_intent.payment_failed", "pi_2"),
    stripe("evt_failed_2", "charge.failed", "pi_2"),
    stripe("evt_held_1", "payment_intent.amount_capturable_updated", "pi_2"),
    stripe("evt_held_2", "charge.succeeded", "pi_2", captured=False),
    stripe("evt_canceled_1", "payment_intent.canceled", "pi_2"),
    stripe("evt_canceled_2", "charge.refunded", "pi_2", captured=False),
    stripe("evt_dispute_1", "charge.dispute.created", "pi_3", **DISPUTE),
    stripe("evt_dispute_2", "charge.dispute.updated", "pi_3", **DISPUTE),
    stripe("evt_dispute_3", "charge.dispute.funds_withdrawn", "pi_3", **DISPUTE),
    stripe("evt_dispute_4", "charge.dispute.funds_reinstated", "pi_3", **DISPUTE),
    stripe("evt_dispute_5", "charge.dispute.closed", "pi_3", **DISPUTE, status="won"),
    stripe("evt_dispute_6", "charge.dispute.created", "pi_3", **DISPUTE | {"id": "dp_2"}),
    stripe("evt_dispute_7", "charge.dispute.closed", "pi_3", **DISPUTE | {"id": "dp_2"}, status="lost"),
]
STATES_RECEIVED = [
    ("authorized", "pi_2", "", 1000, "EUR"), ("canceled", "pi_2", "", 1000, "EUR"),
    ("dispute_lost", "pi_3", "dp_2", 500, "EUR"),
    ("dispute_opened", "pi_3", "dp_1", 500, "EUR"), ("dispute_opened", "pi_3", "dp_2", 500, "EUR"),
    ("dispute_won", "pi_3", "dp_1", 500, "EUR"), ("failed", "pi_2", "", 1000, "EUR"),
    ("funds_reinstated", "pi_3", "dp_1", 500, "EUR"), ("funds_withdrawn", "pi_3", "dp_1", 500, "EUR"),
]  # fmt: skip


@pytest.fixture
async def ready(workers: Workers) -> Workers:
    await workers.connection.execute(RECEIVED)
    return workers


async def publish(workers: Workers, events: Sequence[Event]) -> None:
    for event in events:
        await workers.stream.publish(event)


@pytest.mark.parametrize("batch_size", [1, 3, 500])
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
async def test_each_transfer_and_each_state_is_received_once(ready: Workers, batch_size: int, order: int) -> None:
    await publish(ready, [*TRANSFERS, *STATES, *TRANSFERS][::order])
    async with ready.working(HANDLERS, batch_size=batch_size), ready.working(HANDLERS, batch_size=batch_size):
        await ready.drained()
    assert await ready.rows(FACTS) == sorted(TRANSFERS_RECEIVED + STATES_RECEIVED)
    assert await ready.row("SELECT count(DISTINCT key)::int FROM received") == (
        len(TRANSFERS_RECEIVED + STATES_RECEIVED),
    )


async def test_a_fact_is_received_once_after_a_batch_failed_and_its_events_were_tried_alone(ready: Workers) -> None:
    picky = Handlers()

    @picky.on("stripe", "customer.created")
    async def refuse(_: Connection, __: Event) -> None:
        raise Reject("no customers here")

    bad = contract_event("evt_bad", "cus_1", type="customer.created")
    await publish(ready, [INTENT, bad, CHARGE, CHARGE_AGAIN])
    async with ready.working(HANDLERS.joined_with(picky)):
        await ready.drained()
    assert await ready.rows(FACTS) == TRANSFERS_RECEIVED[:2]
    assert [(row[0], row[3]) for row in await ready.dead()] == [("evt_bad", "no customers here")]


@pytest.mark.parametrize("hook", ["applied", "committed"])
async def test_a_fact_is_received_once_after_a_worker_was_killed(ready: Workers, programs: Programs, hook: str) -> None:
    await publish(ready, [INTENT, CHARGE])
    env = QUICK_ENV | {
        "REDIS_URL": ready.settings.redis_url.get_secret_value(),
        "DATABASE_URL": ready.settings.database_url.get_secret_value(),
        "KEY_PREFIX": ready.settings.key_prefix,
        "CONSUMERS_METRICS_PORT": "0",
        "HANDLERS": "tests.consumers.handlers.test_facts_once:recorder",
    }
    victim = programs.start("tests.support.worker_at", env, ("SIGKILL", hook))
    assert victim.wait() == -signal.SIGKILL
    assert await ready.rows(FACTS) == (TRANSFERS_RECEIVED[:2] if hook == "committed" else [])
    await publish(ready, [CHARGE_AGAIN, INTENT])
    async with ready.working(HANDLERS):
        await ready.drained()
    assert await ready.rows(FACTS) == TRANSFERS_RECEIVED[:2]


async def test_a_fact_that_contradicts_or_is_on_hold_is_not_received(ready: Workers) -> None:
    other_amount = stripe("evt_other", "charge.succeeded", captured=True, amount_captured=900)
    refund = stripe("evt_refund", "refund.created", **REFUND)
    await publish(ready, [INTENT, other_amount])
    async with ready.working(HANDLERS, batch_size=1):
        await ready.drained()
    await publish(ready, [refund, CHARGE_AGAIN])
    async with ready.working(HANDLERS):
        await ready.drained()
    assert await ready.rows(FACTS) == TRANSFERS_RECEIVED[:2]
    assert await ready.row("SELECT kind, reason FROM held_back") == ("refunded", "conflict")


async def test_an_unsigned_fact_is_received_only_if_its_source_is_trusted(ready: Workers) -> None:
    fields = {name: getattr(INTENT, name) for name in Event.__slots__}
    await publish(ready, [Event(**fields | {"signed": "weak"})])
    async with ready.working(HANDLERS):
        await ready.drained()
    assert await ready.rows(FACTS) == []
    await publish(ready, [Event(**fields | {"signed": "weak", "event_id": "evt_trusted"})])
    async with ready.working(builtin({"stripe": PostingRules(trust="all")}).joined_with(recorder)):
        await ready.drained()
    assert await ready.rows(FACTS) == TRANSFERS_RECEIVED[:2]


async def test_a_capture_of_nothing_is_not_received(ready: Workers) -> None:
    await publish(ready, [stripe("evt_free", "payment_intent.succeeded", amount=0, amount_received=0)])
    async with ready.working(HANDLERS):
        await ready.drained()
    assert await ready.rows(FACTS) == [("authorized", "pi_1", "", 0, "EUR")]
