"""Two thousand senders deliver one event at the same time: it is new to exactly one of them, and one row is written."""

import asyncio
from collections import Counter

import aiohttp

from tests.support.events import signed_stripe, stripe_event
from tests.support.harness import Harness
from tests.support.load import deliver

DELIVERIES = 2000
ANSWER_TIMEOUT_S = 60.0
"""On two cores that also run the senders. What is asked for is the answers, not their speed."""


async def test_one_event_delivered_two_thousand_times_at_once(harness: Harness) -> None:
    await harness.add_workers(4)
    await harness.add_gateways(1, {"GATEWAY_PROCESSES": "2", "CONNECTIONS_MAX": str(DELIVERIES)})
    assert len(harness.gateways[0].children) == 2
    signed = signed_stripe(stripe_event("evt_1", "pi_1"))
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        answers = await asyncio.gather(*(deliver(session, harness.urls[0], signed) for _ in range(DELIVERIES)))
    assert Counter(answer.status for answer in answers) == {202: 1, 200: DELIVERIES - 1}
    (accepted,) = [answer for answer in answers if answer.status == 202]

    await harness.drained()
    async with harness.database() as connection:
        (event,) = await connection.fetch("SELECT event_id, entry_id FROM events")
        assert dict(event) == {"event_id": "evt_1", "entry_id": accepted.document["entry_id"]}
        (payment,) = await connection.fetch("SELECT captured FROM payments")
        assert payment["captured"] == 1999
        for table in ("duplicates", "dead_letters"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await harness.broken_rules() == []
