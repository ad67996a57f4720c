"""Every kind of thing that waits is found, and what cannot be asked is not taken for nothing."""

from datetime import timedelta

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from consumers.settings import Settings as WorkerSettings
from operations.notify.kinds import KINDS, NOTHING
from operations.notify.look import Seen, look
from operations.servers import Servers
from stack.ports import HOST, free_port
from tests.support.compared import was_compared, was_found
from tests.support.events import contract_event
from tests.support.notifying import Notifying
from tests.support.stream_states import Stream

CONFLICT = """
INSERT INTO conflicts (namespace, payment_id, movement, told_amount, told_currency, reported_amount, reported_currency,
    event_id)
VALUES ('a', 'p', 'm', 1, 'EUR', 1, 'EUR', 'e')
"""
HELD = """
INSERT INTO held_back (namespace, event_id, payment_id, source, reason, kind, object, amount, currency, movement)
VALUES ('a', 'e', 'p', 's', $1, 'captured', 'o', 1, 'EUR', $2)
"""
OTHER_MODE = "INSERT INTO events_of_other_mode (namespace, event_id, source, mode) VALUES ('a', 'e', 's', 'test')"
RESTORE = "INSERT INTO restores (key_prefix, server, noticed_by, proof) VALUES ($1, 'redis', 'worker-1', 'p')"
AUDIT = "INSERT INTO audits (key_prefix, findings, rules, finished_at) VALUES ($1, $2, 9, now() - interval '9 days')"


async def seen(notifying: Notifying, workers: WorkerSettings | None = None, url: str = "", **changes: object) -> Seen:
    own = notifying.settings(gateway_operators_url=url, **changes)
    return await look(Servers(workers or notifying.workers), own, notifying.now)


async def test_what_waits_in_postgres(notifying: Notifying, connection: asyncpg.Connection) -> None:
    prefix = notifying.workers.key_prefix
    assert {name for name, found in (await seen(notifying)).items() if found != NOTHING} == set()
    await notifying.dies("1-0", "2-0")
    await connection.execute(CONFLICT)
    await connection.execute(HELD, "unsigned", None)
    await connection.execute(HELD.replace("'o'", "'of a conflict'"), "conflict", "m")
    await connection.execute(OTHER_MODE)
    await connection.execute(RESTORE, prefix)
    await connection.execute(RESTORE, "another installation")
    await connection.execute(AUDIT, prefix, 4)
    await was_compared(connection, until=notifying.now - timedelta(hours=1), failures=3)
    for name, kind in (("evt_1", "missing"), ("evt_2", "missing"), ("evt_3", "extra")):
        await was_found(connection, name, kind)
    found = {name: each for name, each in (await seen(notifying)).items() if each != NOTHING}
    assert {name: each.count for name, each in found.items()} == {
        "dead_letters": 2, "conflicts": 1, "unsigned_facts": 1, "other_mode": 1, "restores": 1, "audit_findings": 4,
        "audit_overdue": 1, "events_missing": 2, "reconcile_differs": 1, "reconcile_failing": 1,
    }  # fmt: skip
    assert found.pop("reconcile_differs").oldest_at is None
    for name, each in found.items():
        assert each.oldest_at, name
        age = notifying.now - each.oldest_at
        assert (age > timedelta(days=8)) == name.startswith("audit"), name


async def test_an_audit_that_never_was_is_overdue_some_time_after_the_installation(notifying: Notifying) -> None:
    assert (await seen(notifying))["audit_overdue"] == NOTHING
    notifying.now += timedelta(days=9)
    assert (await seen(notifying))["audit_overdue"].count == 1


async def test_the_oldest_entry_that_is_not_applied(notifying: Notifying, stream: Stream) -> None:
    await stream.publish(contract_event("evt_1"))
    await stream.publish(contract_event("evt_2"))
    assert (await seen(notifying))["oldest_entry"] == NOTHING
    await stream.redis.delete(stream.keys.events)
    await stream.redis.xadd(stream.keys.events, {"v": "1"}, id="1000-0")
    found = (await seen(notifying))["oldest_entry"]
    assert found.count == 1
    assert found.oldest_at
    assert found.oldest_at.year == 1970


async def test_a_server_that_does_not_answer_waits_and_what_it_knows_is_unknown(notifying: Notifying) -> None:
    nowhere = notifying.workers.model_copy(
        update={
            "redis_url": SecretStr(f"redis://{HOST}:{free_port()}/0"),
            "database_url": SecretStr(f"postgresql://nobody@{HOST}:{free_port()}/none"),
        }
    )
    found = await seen(notifying, nowhere)
    assert {name: each.count for name, each in found.items()} == {"postgres_unreachable": 1, "redis_unreachable": 1}


@pytest.mark.parametrize("status", [200, 500])
async def test_the_gateway_is_asked_if_its_address_is_known(notifying: Notifying, status: int) -> None:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    async with TestServer(app, host=HOST) as gateway:
        found = await seen(notifying, url=str(gateway.make_url("/")).rstrip("/"))
    assert found["gateway_unreachable"].count == (status != 200)
    assert "gateway_unreachable" not in await seen(notifying)
    assert (await seen(notifying, url=f"http://{HOST}:{free_port()}"))["gateway_unreachable"].count == 1
    assert set(await seen(notifying, url=f"http://{HOST}:{free_port()}")) == set(KINDS)
