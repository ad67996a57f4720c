"""Handlers hang and block at random, and a session forgets its lock, while events come in."""

import random

from tests.adversity.faults import payment_locked
from tests.support import awkward_handlers
from tests.support.harness import Harness


async def test_hanging_and_blocking_handlers_and_a_forgotten_lock_break_no_promise(harness: Harness) -> None:
    await harness.add_workers(2, {"HANDLERS": f"{awkward_handlers.__name__}:handlers", "MAX_ATTEMPTS": "100"})
    await harness.add_gateways(1)
    async with harness.load(seed=5) as load:
        await load.promised(60)
        harness.history.fault("payment locked")
        async with payment_locked(harness, random.Random(5)):
            await load.promised(60)
    assert await harness.check_promises() == []
