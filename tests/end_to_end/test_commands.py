"""What waits and what died can be seen and acted on, and the audit notices what must not be."""

import json
from typing import Any

import aiohttp

from tests.support.events import signed_stripe, stripe_event
from tests.support.load import deliver
from tests.support.rig import Rig
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


async def started(rig: Rig, **orders: str) -> None:
    """A gateway, and a worker whose handlers do as they are told about each payment."""
    async with rig.database() as connection:
        await connection.execute("CREATE TABLE orders (payment text, verb text)")
        await connection.executemany("INSERT INTO orders VALUES ($1, $2)", orders.items())
    (rig.programs.folder / "orders.py").write_text(HANDLERS)
    await rig.add_workers(1, {"HANDLERS": "orders:handlers"})
    await rig.add_gateways(1)


async def accept(rig: Rig, session: aiohttp.ClientSession, *payments: str) -> list[str]:
    """An event about each payment is accepted; their entries' ids."""
    entry_ids = []
    for payment in payments:
        answer = await deliver(session, rig.urls[0], signed_stripe(stripe_event(f"evt_{payment}", payment)))
        assert answer.status == 202
        entry_ids.append(answer.document["entry_id"])
    return entry_ids


async def command(rig: Rig, *argv: str) -> tuple[int, Any]:
    """`python -m consumers … --json`: the exit code, and what it says."""
    code, output, errors = await rig.programs.run("consumers", rig.servers_env, *argv, "--json")
    assert output, errors
    return code, json.loads(output)


async def count(rig: Rig, table: str) -> int:
    async with rig.database() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_a_poison_event_is_put_away_and_applied_once_its_cause_is_gone(
    rig: Rig, session: aiohttp.ClientSession
) -> None:
    await started(rig, pi_bad="reject")
    await accept(rig, session, "pi_bad", "pi_good")
    await rig.drained()
    code, dead = await command(rig, "dead")
    (letter,) = dead["dead_letters"]
    assert (code, letter["event_id"], letter["attempts"]) == (0, "evt_pi_bad", 1)
    assert "the customer is unknown" in letter["reason"]
    assert await count(rig, "payments") == 1, "the poison held nobody back, and left nothing behind"
    assert await rig.broken_rules() == []

    async with rig.database() as connection:
        await connection.execute("DELETE FROM orders")
    code, said = await command(rig, "replay", "evt_pi_bad")
    assert (code, said["results"][0]["outcome"]) == (0, "added")
    await rig.drained()
    assert await count(rig, "payments") == 2
    assert (await command(rig, "dead"))[1]["dead_letters"] == []
    assert (await command(rig, "audit"))[0] == 0


async def test_a_redelivery_brings_a_dead_event_back(rig: Rig, session: aiohttp.ClientSession) -> None:
    await started(rig, pi_bad="reject")
    await accept(rig, session, "pi_bad")
    await rig.drained()
    async with rig.database() as connection:
        await connection.execute("DELETE FROM orders")
    await accept(rig, session, "pi_bad")
    await rig.drained()
    assert (await command(rig, "dead"))[1]["open"] == 0
    assert await count(rig, "payments") == 1
    assert (await command(rig, "audit"))[0] == 0


async def test_a_stuck_event_is_shown_with_its_reason(rig: Rig, session: aiohttp.ClientSession) -> None:
    await started(rig, pi_slow="retry")
    await accept(rig, session, "pi_slow")
    (entry,) = await until(lambda: _explained(rig), what="the event waits for its next attempt")
    assert (entry["event_id"], entry["consumer"], entry["deliveries"]) == ("evt_pi_slow", "worker-1", 1)
    assert "the warehouse is closed" in entry["why"]
    assert "attempt 1 of 10 failed" in entry["why"]
    assert (await command(rig, "audit"))[0] == 0, "what waits is accounted for"


async def _explained(rig: Rig) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await command(rig, "pending"))[1]["entries"]
    return [entry for entry in entries if "failed" in entry["why"]]


async def test_the_audit_notices_a_row_that_must_not_be(rig: Rig, session: aiohttp.ClientSession) -> None:
    await started(rig)
    await accept(rig, session, "pi_1")
    await rig.drained()
    code, said = await command(rig, "audit")
    assert (code, said["ok"]) == (0, True)
    async with rig.database() as connection:
        await connection.execute("UPDATE payments SET refunds_total = 5000")
    code, said = await command(rig, "audit")
    assert (code, [broken["name"] for broken in said["broken"]]) == (1, ["payment_with_impossible_amounts"])
    assert (await rig.programs.run("sql", rig.servers_env, "audit"))[0] == 1


async def test_the_audit_notices_an_entry_that_was_deleted_by_hand(rig: Rig, session: aiohttp.ClientSession) -> None:
    await rig.add_gateways(1)
    entry_ids = await accept(rig, session, "pi_1", "pi_2", "pi_3")
    async with rig.redis() as redis:
        await redis.xdel(rig.keys.events, entry_ids[1])
    code, said = await command(rig, "audit")
    assert (code, [broken["name"] for broken in said["broken"]]) == (1, ["entries_do_not_add_up"])
    assert said["account"] == {"added": 3, "recorded": 0, "waiting": 2}
    await rig.add_workers(1)
    await rig.drained()
    code, said = await command(rig, "audit")
    assert (code, said["account"]) == (1, {"added": 3, "recorded": 2, "waiting": 0})
