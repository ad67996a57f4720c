"""A right that is taken away holds work up, is named, and loses and dead-letters nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from consumers.address_watch import AddressWatch, redis_identity
from consumers.handlers import Connection, Handlers
from consumers.handlers.payments import HANDLERS
from contract.event import Event
from tests.support.consuming import Workers
from tests.support.database import WORKERS_ROLE
from tests.support.servers import ValkeyServer, as_user
from tests.support.stream_states import Stream
from tests.support.wait import until


@pytest_asyncio.fixture
async def operator(private_valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client that may do everything."""
    async with Redis.from_url(private_valkey.url, protocol=2) as redis:
        yield redis


@pytest.fixture
def own(workers: Workers, operator: Redis, private_valkey: ValkeyServer) -> Workers:
    """Workers on a Redis whose rights a test may change."""
    url = SecretStr(as_user("workers", private_valkey.url))
    settings = workers.settings.model_copy(update={"redis_url": url})
    return Workers(Stream(operator, workers.keys), workers.connection, settings)


async def allow(operator: Redis, rule: str) -> None:
    await operator.execute_command("ACL", "SETUSER", "workers", rule)  # type: ignore[no-untyped-call]


RIGHTS = ["xreadgroup", "xpending", "xinfo|stream", "xinfo|groups", "xinfo|consumers", "hset", "evalsha"]


@pytest.mark.parametrize("right", RIGHTS)
async def test_a_worker_names_the_right_it_lacks_and_goes_on_with_it(own: Workers, operator: Redis, right: str) -> None:
    async with own.working(max_attempts=1) as running:
        await own.publish(1)
        await own.drained()
        await allow(operator, f"-{right}")
        await own.publish(3, first=1)
        await until(lambda: right in str(running.progress.reason), what="the right is named")
        await allow(operator, f"+{right}")
        await own.drained()
    assert (len(await own.events()), await own.dead()) == (4, [])


async def test_a_server_that_refuses_to_say_which_it_is_is_reported_once(own: Workers, operator: Redis) -> None:
    async def identity() -> str:
        return await redis_identity(own.settings)

    async def moved() -> None:
        pass

    watch = AddressWatch("Redis", identity, moved)
    await allow(operator, "-info")
    with capture_logs() as logs:
        for _ in range(3):
            await watch.look()
    assert [("info" in line["reason"], line["log_level"]) for line in logs if "refuses" in line["event"]] == [
        (True, "warning")
    ]


async def test_a_handler_s_missing_grant_makes_its_events_wait(workers: Workers) -> None:
    await workers.connection.execute("CREATE TABLE shipments (event_id text)")
    await workers.connection.execute(f"REVOKE ALL ON shipments FROM {WORKERS_ROLE}")

    handlers = HANDLERS.joined_with(Handlers())

    @handlers.on("stripe", "payment_intent.succeeded")
    async def ship(connection: Connection, event: Event) -> None:
        if event.event_id == "evt_0":
            await connection.execute("INSERT INTO shipments VALUES ($1)", event.event_id)

    async with workers.working(handlers, max_attempts=1):
        await workers.publish(4)
        await until(lambda: workers.has_events(3), what="the others are applied")
        row: Any = await workers.redis.hgetall(workers.keys.failures)
        assert "permission denied for table shipments" in str(row)
        await workers.connection.execute(f"GRANT INSERT ON shipments TO {WORKERS_ROLE}")
        await workers.drained()
    assert (len(await workers.events()), await workers.dead()) == (4, [])
