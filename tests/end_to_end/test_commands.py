"""What waits and what died can be seen and acted on, and the audit notices what must not be."""

import json
from typing import Any

import aiohttp

from tests.support.events import signed_stripe, stripe_event
from tests.support.harness import Harness
from tests.support.load import deliver
from tests.support.wait import until

HANDLERS = '''
from consumers.handlers import Handlers, Reject, Retry

handlers = Handlers()


@handlers.on("stripe", "payment_intent.succeeded")
async def obey(connection, event):
    """Does what the table `orders` says about the payment."""
    order = await connection.fetchval("SELECT verb FROM orders WHERE payment = $1", event.resource)
    if order == "reject":
        raise Reject("the customer is unknown")
    if order == "retry":
        raise Retry("the warehouse is closed", after=600)
'''


async def started(harness: Harness, **orders: str) -> None:
    """A gateway, and a worker whose handlers fail or succeed as each payment asks."""
    async with harness.database() as connection:
        await connection.execute("CREATE TABLE orders (payment text, verb text)")
        await connection.executemany("INSERT INTO orders VALUES ($1, $2)", orders.items())
    (harness.programs.folder / "orders.py").write_text(HANDLERS)
    await harness.add_workers(1, {"HANDLERS": "orders:handlers"})
    await harness.add_gateways(1)


async def accept(harness: Harness, session: aiohttp.ClientSession, *payments: str) -> list[str]:
    """An event about each payment is accepted; their entries' ids."""
    entry_ids = []
    for payment in payments:
        answer = await deliver(session, harness.urls[0], signed_stripe(stripe_event(f"evt_{payment}", payment)))
        assert answer.status == 202
        entry_ids.append(answer.document["entry_id"])
    return entry_ids


async def command(harness: Harness, *argv: str) -> tuple[int, Any]:
    """`python -m operations … --json`: the exit code, and what it says."""
    code, output, errors = await harness.programs.run("operations", harness.servers_env, *argv, "--json")
    assert output, errors
    return code, json.loads(output)


async def count(harness: Harness, table: str) -> int:
    async with harness.database() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_a_poison_event_is_put_away_and_applied_once_its_cause_is_gone(
    harness: Harness, session: aiohttp.ClientSession
) -> None:
    await started(harness, pi_bad="reject")
    await accept(harness, session, "pi_bad", "pi_good")
    await harness.drained()
    code, dead = await command(harness, "dead")
    (letter,) = dead["dead_letters"]
    assert (code, letter["event_id"], letter["attempts"]) == (0, "evt_pi_bad", 1)
    assert "the customer is unknown" in letter["reason"]
    assert await count(harness, "payments") == 1, "the poison held nobody back, and left nothing behind"
    assert await harness.broken_rules() == []

    async with harness.database() as connection:
        await connection.execute("DELETE FROM orders")
    code, said = await command(harness, "replay", "evt_pi_bad")
    assert (code, said["results"][0]["outcome"]) == (0, "added")
    await harness.drained()
    assert await count(harness, "payments") == 2
    assert (await command(harness, "dead"))[1]["dead_letters"] == []
    assert (await command(harness, "audit"))[0] == 0


async def test_a_redelivery_brings_a_dead_event_back(harness: Harness, session: aiohttp.ClientSession) -> None:
    await started(harness, pi_bad="reject")
    await accept(harness, session, "pi_bad")
    await harness.drained()
    async with harness.database() as connection:
        await connection.execute("DELETE FROM orders")
    await accept(harness, session, "pi_bad")
    await harness.drained()
    assert (await command(harness, "dead"))[1]["open"] == 0
    assert await count(harness, "payments") == 1
    assert (await command(harness, "audit"))[0] == 0


async def test_a_stuck_event_is_shown_with_its_reason(harness: Harness, session: aiohttp.ClientSession) -> None:
    await started(harness, pi_slow="retry")
    await accept(harness, session, "pi_slow")
    (entry,) = await until(lambda: _explained(harness), what="the event waits for its next attempt")
    assert (entry["event_id"], entry["consumer"], entry["deliveries"]) == ("evt_pi_slow", "worker-1", 1)
    assert "the warehouse is closed" in entry["why"]
    assert "attempt 1 of 10 failed" in entry["why"]
    assert (await command(harness, "audit"))[0] == 0, "what waits is accounted for"


async def _explained(harness: Harness) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await command(harness, "pending"))[1]["entries"]
    return [entry for entry in entries if "failed" in entry["why"]]


async def test_the_audit_notices_a_row_that_must_not_be(harness: Harness, session: aiohttp.ClientSession) -> None:
    await started(harness)
    await accept(harness, session, "pi_1")
    await harness.drained()
    code, said = await command(harness, "audit")
    assert (code, said["ok"]) == (0, True)
    async with harness.database() as connection:
        await connection.execute("UPDATE payments SET refunds_total = 5000")
    code, said = await command(harness, "audit")
    assert (code, [broken["name"] for broken in said["broken"]]) == (1, ["payment_with_impossible_amounts"])
    assert (await harness.programs.run("sql", harness.servers_env, "audit"))[0] == 1


async def test_the_audit_notices_an_entry_that_was_deleted_by_hand(
    harness: Harness, session: aiohttp.ClientSession
) -> None:
    await harness.add_gateways(1)
    entry_ids = await accept(harness, session, "pi_1", "pi_2", "pi_3")
    async with harness.redis() as redis:
        await redis.xdel(harness.keys.events, entry_ids[1])
    code, said = await command(harness, "audit")
    assert (code, [broken["name"] for broken in said["broken"]]) == (1, ["entries_do_not_add_up", "lost_event"])
    assert said["account"] == {"added": 3, "recorded": 0, "waiting": 2, "acknowledged": 0}
    await harness.add_workers(1)
    await harness.drained()
    code, said = await command(harness, "audit")
    assert (code, said["account"]) == (1, {"added": 3, "recorded": 2, "waiting": 0, "acknowledged": 0})
