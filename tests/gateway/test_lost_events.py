"""An event that was lost is accepted again: its marker counts only while its entry or its commit exists."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from contract.keys import COMMITTED, GROUP, Keys, committed_marker, entry_number
from gateway.publisher import REDIS_WAS_REWOUND
from tests.support.gateway import Running, payment, running
from tests.support.servers import ValkeyServer

MARKED = "tx_1:COMPLETED"


async def delete_all(redis: Redis, name: str) -> None:
    rows = cast("list[Any]", await redis.xrange(name))
    await redis.xdel(name, *[entry_id for entry_id, _ in rows])


async def replace_stream(redis: Redis, name: str) -> None:
    await redis.delete(name)
    await redis.xgroup_create(name, GROUP, "0", mkstream=True)


LOSSES: dict[str, Callable[[Redis, str], Awaitable[object]]] = {
    "XDEL": delete_all,
    "XTRIM": lambda redis, name: redis.xtrim(name, maxlen=0, approximate=False),
    "DEL": lambda redis, name: redis.delete(name),
    "DEL, and another stream since": replace_stream,
    "RENAME": lambda redis, name: redis.rename(name, f"{name}:old"),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_an_event_whose_entry_is_gone_is_accepted_again(
    gateway: Running, redis: Redis, keys: Keys, loss: str
) -> None:
    lost = (await gateway.post(payment())).json()["entry_id"]
    assert (await gateway.post(payment())).status == 200
    await LOSSES[loss](redis, keys.events)
    again = await gateway.post(payment())
    assert (again.status, await redis.xlen(keys.events)) == (202, 1)
    assert again.json()["entry_id"] != lost
    assert await redis.get(keys.seen("default", MARKED)) == again.json()["entry_id"].encode()
    assert (await gateway.post(payment())).status == 200


@pytest.mark.parametrize("pending", [False, True])
async def test_an_event_that_waits_is_a_duplicate_pending_or_not(
    gateway: Running, redis: Redis, keys: Keys, pending: bool
) -> None:
    await gateway.post(payment())
    if pending:
        await redis.xgroup_create(keys.events, GROUP, "0")
        await redis.xreadgroup(GROUP, "worker-1", {keys.events: ">"})
    assert (await gateway.post(payment())).status == 200
    assert await redis.xlen(keys.events) == 1


@pytest.mark.parametrize(
    ("marker", "restores", "status"),
    [
        (committed_marker(0), 0, 200),
        (committed_marker(0), 1, 202),
        (committed_marker(1), 1, 200),
        (committed_marker(1), 12, 202),
        (committed_marker(12), 12, 200),
        (b"not an entry id", 0, 202),
        (b"1-1", 0, 202),
    ],
)
async def test_a_commit_counts_only_if_postgres_was_not_restored_since(
    gateway: Running, redis: Redis, keys: Keys, marker: bytes, restores: int, status: int
) -> None:
    await redis.set(keys.seen("default", MARKED), marker)
    if restores:
        await redis.hset(keys.account, "restores", str(restores))
    assert (await gateway.post(payment())).status == status


@pytest.mark.parametrize("loss", ["DEL", "RENAME", "all keys"])
async def test_a_stream_that_is_taken_away_before_any_ack_is_noticed_by_the_gateway(
    gateway: Running, redis: Redis, keys: Keys, loss: str
) -> None:
    lost = (await gateway.post(payment(1))).json()["entry_id"]
    if loss == "all keys":
        await redis.delete(*await redis.keys(f"{keys.prefix}:*"))
    else:
        await LOSSES[loss](redis, keys.events)
    with capture_logs() as logs:
        assert (await gateway.post(payment(2))).status == 202
        assert (await gateway.post(payment(3))).status == 202
    assert [line["event"] for line in logs].count(REDIS_WAS_REWOUND) == 1
    assert await redis.hget(keys.account, "rewound") == f"{lost} 0-0".encode()


async def test_a_gateway_that_is_started_anew_notices_a_stream_that_was_taken_away(
    valkey: ValkeyServer, redis: Redis, keys: Keys
) -> None:
    async with running(valkey.url, keys.prefix) as gateway:
        lost = (await gateway.post(payment(1))).json()["entry_id"]
    await redis.delete(keys.events)
    async with running(valkey.url, keys.prefix) as gateway:
        await gateway.post(payment(2))
    assert await redis.hget(keys.account, "rewound") == f"{lost} 0-0".encode()


async def test_the_first_entry_of_all_is_no_loss(gateway: Running, redis: Redis, keys: Keys) -> None:
    await redis.xgroup_create(keys.events, GROUP, "0", mkstream=True)
    await gateway.post(payment(1))
    await delete_all(redis, keys.events)
    await gateway.post(payment(2))
    assert not await redis.exists(keys.account)


async def test_a_lost_event_waits_for_room_like_a_new_one(
    valkey: ValkeyServer, key_prefix: str, redis: Redis, keys: Keys
) -> None:
    async with running(valkey.url, key_prefix, backlog_limit=1) as gateway:
        await gateway.post(payment(1))
        await redis.set(keys.seen("default", "tx_2:COMPLETED"), "1-1")
        assert (await gateway.post(payment(2))).status == 429


async def test_a_redis_restored_from_an_older_copy_is_noticed_and_gives_no_id_twice(
    private_valkey: ValkeyServer, keys: Keys, tmp_path: Path
) -> None:
    async with running(private_valkey.url, keys.prefix, redis_timeout_s=5) as gateway:
        await gateway.post(payment(1))
        await private_valkey.back_up(tmp_path / "copy")
        far_ahead = f"{entry_number(await posted(gateway, 2))[0] + 10**9}-7"
        async with Redis.from_url(private_valkey.url, protocol=2) as redis:
            await redis.execute_command("XSETID", keys.events, far_ahead)  # type: ignore[no-untyped-call]
        confirmed = (await gateway.post(payment(3))).json()["entry_id"]
        assert entry_number(confirmed) > entry_number(far_ahead)
        await private_valkey.restore(tmp_path / "copy")
        with capture_logs() as logs:
            again = await posted(gateway, 3)
            assert (await gateway.post(payment(2))).status == 202
        assert [line["confirmed"] for line in logs if line["event"] == REDIS_WAS_REWOUND] == [confirmed]
        assert entry_number(again) > entry_number(confirmed), "the clock is far behind the ids"
        async with Redis.from_url(private_valkey.url, protocol=2) as redis:
            note: Any = await redis.hget(keys.account, "rewound")
            assert note.decode().split()[0] == confirmed


async def test_a_restart_with_all_data_is_not_a_restore(private_valkey: ValkeyServer, keys: Keys) -> None:
    async with running(private_valkey.url, keys.prefix, redis_timeout_s=5) as gateway:
        await gateway.post(payment(1))
        private_valkey.kill()
        await private_valkey.restart()
        with capture_logs() as logs:
            await posted(gateway, 2)
        assert REDIS_WAS_REWOUND not in [line["event"] for line in logs]


async def posted(gateway: Running, number: int) -> str:
    """Post until it is accepted, as a sender does; return the entry id."""
    while (answer := await gateway.post(payment(number))).status == 503:
        pass
    assert answer.status == 202
    return str(answer.json()["entry_id"])


async def test_a_marker_of_a_commit_is_one_of_two_words() -> None:
    assert (committed_marker(0), committed_marker(3)) == (COMMITTED, b"committed:3")
