"""The transactions that book what APIs said: an outage is met by a batch once, and not by each of its events."""

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
from tests.support.operator_commands import captured, unsigned


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
