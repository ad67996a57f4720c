"""The example of docs/handlers.md gives exact balances with real workers, in any order, with repeated events."""

import random
from pathlib import Path
from typing import Any

import pytest

from consumers.handlers.payments import builtin
from contract.event import Event
from credits import handlers
from providers.testing import recorded
from tests.support.consuming import Workers
from tests.support.processes import Programs

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "credits"
CREDITS = builtin({}).joined_with(handlers)
BALANCES = "SELECT customer_id, currency, balance FROM credits ORDER BY customer_id, currency"


def event(number: int, type_: str, payment: str, **fields: Any) -> Event:
    about = {"id": f"{payment}_object", "amount": 1000, "currency": "eur", "payment_intent": payment, **fields}
    body = {"id": f"evt_{number}", "type": type_, "created": 1772445013, "data": {"object": about}}
    (made,) = recorded("stripe", body)
    return made


def reports_of(payment: str, customer: str | None, first: int) -> list[Event]:
    """Return events of a capture, reported twice; of two refunds, of which one fails; and of the sum of refunds."""
    metadata = {"customer_id": customer} if customer else {}
    refund = {"id": f"re_{payment}_1", "amount": 300}
    failed = {"id": f"re_{payment}_2", "amount": 200}
    return [
        event(first, "payment_intent.succeeded", payment, id=payment, amount_received=1000, metadata=metadata),
        event(first + 1, "charge.succeeded", payment, captured=True, amount_captured=1000, metadata=metadata),
        event(first + 2, "refund.created", payment, **refund),
        event(first + 3, "refund.updated", payment, **refund),
        event(first + 4, "refund.created", payment, **failed),
        event(first + 5, "refund.failed", payment, **failed, status="failed"),
        event(first + 6, "charge.refunded", payment, captured=True, amount_refunded=300, metadata=metadata),
    ]


STORY = [
    *reports_of("pi_1", "ada", 10),
    *reports_of("pi_2", "ada", 20),
    *reports_of("pi_3", "grace", 30),
    *reports_of("pi_4", None, 40),
]


@pytest.fixture
async def ready(workers: Workers) -> Workers:
    await workers.connection.execute((EXAMPLE / "credits.sql").read_text())
    return workers


@pytest.mark.parametrize("batch_size", [1, 4, 500])
async def test_the_balances_are_exact(ready: Workers, batch_size: int) -> None:
    chance = random.Random(batch_size)
    reports = [*STORY, *chance.sample(STORY, 12)]
    chance.shuffle(reports)
    for each in reports:
        await ready.stream.publish(each)
    async with ready.working(CREDITS, batch_size=batch_size), ready.working(CREDITS, batch_size=batch_size):
        await ready.drained()
    assert await ready.rows(BALANCES) == [("ada", "EUR", 1400), ("grace", "EUR", 700)], [e.event_id for e in reports]
    assert await ready.row("SELECT count(*), sum(amount)::int FROM credit_changes") == (16, 2800)
    assert await ready.dead() == []
    await ready.assert_all_acked()


async def test_a_worker_finds_the_module_in_its_folder(ready: Workers, programs: Programs) -> None:
    for each in reports_of("pi_1", "ada", 10):
        await ready.stream.publish(each)
    await programs.consumers(
        ready.settings.redis_url.get_secret_value(),
        ready.settings.database_url.get_secret_value(),
        ready.settings.key_prefix,
        env={"HANDLERS": "credits:handlers", "HANDLERS_FOLDER": str(EXAMPLE.parent)},
    )
    await ready.drained()
    assert await ready.rows(BALANCES) == [("ada", "EUR", 700)]


async def test_a_refund_before_its_capture_is_subtracted_too(ready: Workers) -> None:
    capture, _, refund, *_ = STORY
    for each, balances in ((refund, []), (capture, [("ada", "EUR", 700)])):
        await ready.stream.publish(each)
        async with ready.working(CREDITS):
            await ready.drained()
        assert await ready.rows(BALANCES) == balances
