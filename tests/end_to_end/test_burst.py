"""Two thousand senders deliver one event at one moment: it is new to exactly one of them, and one row is written."""

import asyncio
from collections import Counter

import aiohttp

from tests.support.events import signed_stripe, stripe_event
from tests.support.load import deliver
from tests.support.rig import Rig

DELIVERIES = 2000
ANSWER_TIMEOUT_S = 60.0
"""On two cores that also run the senders. What is asked for is the answers, not their speed."""


async def test_one_event_delivered_two_thousand_times_at_once(rig: Rig) -> None:
    await rig.add_workers(4)
    await rig.add_gateways(1, {"GATEWAY_PROCESSES": "2", "CONNECTIONS_MAX": str(DELIVERIES)})
    assert len(rig.gateways[0].children) == 2
    signed = signed_stripe(stripe_event("evt_1", "pi_1"))
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        answers = await asyncio.gather(*(deliver(session, rig.urls[0], signed) for _ in range(DELIVERIES)))
    assert Counter(answer.status for answer in answers) == {202: 1, 200: DELIVERIES - 1}
    (accepted,) = [answer for answer in answers if answer.status == 202]

    await rig.drained()
    async with rig.database() as connection:
        (event,) = await connection.fetch("SELECT event_id, entry_id FROM events")
        assert dict(event) == {"event_id": "evt_1", "entry_id": accepted.document["entry_id"]}
        (payment,) = await connection.fetch("SELECT captured FROM payments")
        assert payment["captured"] == 1999
        for table in ("duplicates", "dead_letters"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await rig.broken_rules() == []
