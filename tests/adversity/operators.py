"""What operators do to a running system: entries deleted and taken by hand, servers restored from older copies.

These lose events. The promise is then another one: once the providers have sent everything again, every row is right,
and the audit has shown the losses until a person acknowledged them.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from consumers.settings import Settings
from consumers.stream_stats import every_partition
from contract.keys import GROUP, Keys
from operations.acknowledgement import acknowledge
from operations.log import Act
from operations.servers import Servers
from sql.connect import connect
from tests.adversity.faults import Fault
from tests.support.checker import CONNECT_TIMEOUT_S, find_broken_promises, read_state
from tests.support.events import Signed, signed_stripe
from tests.support.harness import Harness
from tests.support.load import Load, client, deliver
from tests.support.stream_states import settings_for
from tests.support.wait import until

NOTICED_TIMEOUT_S = 60.0
RESENT_TIMEOUT_S = 60.0
RESENT_AT_ONCE = 12

OF_A_LOSS = ("entries_do_not_add_up", "restore_not_acknowledged")
"""What the audit shows after a loss, until a person acknowledges it."""

NOT_NOTICED = ("redis_is_older", "postgres_is_older", "recorded_beyond_the_stream")
"""What it shows until a worker has noticed a restore."""


def by_hand(act: Callable[[Redis, Keys], Awaitable[object]]) -> Fault:
    """Let an operator do this to the keys of one partition."""

    @asynccontextmanager
    async def fault(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
        async with harness.redis() as redis:
            await act(redis, rng.choice(await every_partition(redis, harness.keys)))
        yield

    return fault


async def delete_pending(redis: Redis, keys: Keys) -> None:
    rows: list[Any] = await redis.xpending_range(keys.events, GROUP, "-", "+", 5)
    if rows:
        await redis.xdel(keys.events, *[row["message_id"] for row in rows])


async def trim(redis: Redis, keys: Keys) -> None:
    await redis.xtrim(keys.events, maxlen=3, approximate=False)


async def delete_consumers(redis: Redis, keys: Keys) -> None:
    consumers: list[Any] = await redis.xinfo_consumers(keys.events, GROUP)
    for consumer in consumers:
        await redis.xgroup_delconsumer(keys.events, GROUP, consumer["name"])


async def make_group_again(redis: Redis, keys: Keys) -> None:
    await redis.xgroup_destroy(keys.events, GROUP)
    with suppress(ResponseError):  # BUSYGROUP: a worker was faster
        await redis.xgroup_create(keys.events, GROUP, "$")


async def acknowledge_pending(redis: Redis, keys: Keys) -> None:
    rows: list[Any] = await redis.xpending_range(keys.events, GROUP, "-", "+", 100)
    if rows:
        await redis.xack(keys.events, GROUP, *[row["message_id"] for row in rows])


@asynccontextmanager
async def redis_restored(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    with TemporaryDirectory() as folder:
        await harness.valkey.back_up(Path(folder) / "copy")
        yield
        await harness.valkey.restore(Path(folder) / "copy")


@asynccontextmanager
async def postgres_restored(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    with TemporaryDirectory() as folder:
        await harness.postgres.back_up(Path(folder) / "copy")
        yield
        await harness.postgres.restore(Path(folder) / "copy")


ACTS: dict[str, Fault] = {
    "operator: XDEL of pending": by_hand(delete_pending),
    "operator: XTRIM": by_hand(trim),
    "operator: XGROUP DELCONSUMER": by_hand(delete_consumers),
    "operator: XGROUP DESTROY, CREATE $": by_hand(make_group_again),
    "operator: XACK": by_hand(acknowledge_pending),
    "operator: redis restored": redis_restored,
    "operator: postgres restored": postgres_restored,
}
"""All acts, by the name that a history records."""


async def check_after_losses(harness: Harness, load: Load) -> list[str]:
    """Return every broken promise, after the providers have sent everything again."""
    await harness.drained()
    await until(lambda: _is_noticed(harness), timeout_s=NOTICED_TIMEOUT_S, what="the workers notice every restore")
    await _send_all_again(harness, load)
    await harness.drained()
    async with connect(harness.database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        state = await read_state(connection)
    broken = find_broken_promises(harness.history, state, one_202_each=False)
    # The entries are gone; their events are applied from others.
    broken = [line for line in broken if not line.startswith("missing: entry ")]
    broken += [line for line in await harness.broken_rules() if not line.startswith(_audit(OF_A_LOSS))]
    servers = Servers(_settings(harness))
    await acknowledge(servers, act=Act("prove", "the providers have sent everything again", "command"))
    broken += [f"after the acknowledgement: {line}" for line in await harness.broken_rules()]
    return [*broken, *harness.fallen()]


def _audit(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"audit: {name} " for name in names)


async def _is_noticed(harness: Harness) -> bool:
    return not any(line.startswith(_audit(NOT_NOTICED)) for line in await harness.broken_rules())


async def _send_all_again(harness: Harness, load: Load) -> None:
    """Deliver every event until it is answered 2xx, some at a time."""
    events = iter(load.events.values())

    async def send(session: aiohttp.ClientSession) -> None:
        for event in events:
            signed = signed_stripe(event)

            async def is_answered(signed: Signed = signed) -> bool:
                try:
                    answer = await deliver(session, harness.urls[0], signed)
                except (aiohttp.ClientError, TimeoutError):
                    return False
                harness.history.answered(signed.event_id, answer.status, answer.document.get("entry_id"))
                return answer.status in (200, 202)

            await until(is_answered, timeout_s=RESENT_TIMEOUT_S, what=f"{signed.event_id} is accepted again")

    async with client() as session, asyncio.TaskGroup() as group:
        for _ in range(RESENT_AT_ONCE):
            group.create_task(send(session))


def _settings(harness: Harness) -> Settings:
    return settings_for(harness.all_redis_url, harness.database_url, harness.prefix)
