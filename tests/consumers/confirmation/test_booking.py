"""The transactions that book what APIs said: an outage is met once by a batch, and money is booked once."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from consumers.confirmation.booking import Booker
from consumers.confirmation.store import Said
from consumers.handlers.payments import HANDLERS, Payments
from consumers.hooks import no_hooks
from consumers.settings import Settings
from consumers.store import open_pool
from providers.api import Fetched
from tests.support.confirming import Asking
from tests.support.events import contract_event
from tests.support.operator_commands import captured, unsigned
from tests.support.wait import until

(PAID,) = unsigned(captured(700, "evt_1"))


async def test_an_outage_fails_a_batch_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def confirm(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise asyncpg.CannotConnectNowError("the server is starting up")

    monkeypatch.setattr("consumers.confirmation.store.confirm", confirm)
    said = [
        Said(event, Fetched(b"{}", event.type), datetime.now(UTC))
        for event in unsigned(*(captured(1, f"evt_{number}", f"pi_{number}") for number in range(3)))
    ]
    async with await open_pool(settings, "test", 2) as pool:
        booker = Booker(pool, HANDLERS, Payments({}), settings, no_hooks)
        async with booker.running():
            ended = await asyncio.gather(*map(booker.book, said), return_exceptions=True)
    assert [type(each) for each in ended] == [asyncpg.CannotConnectNowError] * 3
    assert calls == 1


async def test_a_repair_of_the_same_capture_meanwhile_books_it_once(asking: Asking) -> None:
    listed = contract_event(
        "evt_listed", "pi_1", body=captured(700, "evt_listed").body, signed="api", origin="reconcile"
    )
    asking.api.has(PAID)
    asking.api.gate.clear()
    await asking.publish(PAID, listed)
    async with asking.working():
        await until(asking.transfers, what="the repair is booked")
        asking.api.gate.set()
        await asking.decided(evt_1="confirmed")
    assert await asking.transfers() == [("capture:pi_1", 700, "EUR")]
    await asking.assert_sound()
