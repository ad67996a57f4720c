"""The programs' users in Redis: all other tests work with these rights; here is what they must not be able to do."""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from runtime.redis_rights import GATEWAY, WORKERS
from tests.support.servers import ValkeyServer, as_user

ROOT = Path(__file__).parents[2]
RIGHTS = {"gateway": GATEWAY, "workers": WORKERS}
OF_NOBODY = [
    "FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG SET appendonly no", "SHUTDOWN NOSAVE", "ACL LIST",
    "CLIENT KILL TYPE normal", "REPLICAOF NO ONE", "SCRIPT FLUSH", "FUNCTION LIST", "SAVE", "MONITOR", "SWAPDB 0 1",
]  # fmt: skip
OF_WORKERS = [
    "XDEL a:events 1-0",
    "DEL a:events",
    "XREADGROUP GROUP payments me STREAMS a:events >",
    "XTRIM a:events MAXLEN 0",
]


@pytest.mark.parametrize("command", [*OF_NOBODY, *OF_WORKERS])
async def test_a_gateway_may_publish_and_nothing_else(valkey: ValkeyServer, command: str) -> None:
    await assert_forbidden(valkey, "gateway", command)


@pytest.mark.parametrize("command", [*OF_NOBODY, "XTRIM a:events MAXLEN 0", "XGROUP DESTROY a:events payments"])
async def test_a_worker_may_not_administer_the_server_nor_trim_the_stream(valkey: ValkeyServer, command: str) -> None:
    await assert_forbidden(valkey, "workers", command)


async def assert_forbidden(valkey: ValkeyServer, user: str, command: str) -> None:
    async with Redis.from_url(as_user(user, valkey.url), protocol=2) as redis:
        assert await redis.ping()
        with pytest.raises(NoPermissionError):
            await redis.execute_command(*command.split())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("user", RIGHTS)
async def test_keys_of_others_cannot_be_reached(private_valkey: ValkeyServer, user: str) -> None:
    async with Redis.from_url(private_valkey.url, protocol=2) as redis:
        await redis.execute_command("ACL", "SETUSER", user, "resetkeys", "~payments:*")  # type: ignore[no-untyped-call]
    async with Redis.from_url(as_user(user, private_valkey.url), protocol=2) as redis:
        assert await redis.get("payments:{0}:epoch") is None
        with pytest.raises(NoPermissionError):
            await redis.get("sessions:1")


@pytest.mark.parametrize("user", RIGHTS)
def test_the_page_has_the_same_rights(user: str) -> None:
    page = "docs/deploying.md"
    words = (ROOT / page).read_text().replace("\\\n", " ").replace('"', "").split()
    rights = list(RIGHTS[user])
    starts = [at for at in range(len(words)) if words[at : at + len(rights)] == rights]
    assert starts, f"{page} has other rights for {user} than runtime/redis_rights.py"


_CALL = re.compile(r"redis\.p?call\('([A-Z]+)'(?:, '([A-Z]+)')?")
_CONTAINERS = {"XGROUP", "XINFO"}
"""Commands whose rights are given by subcommand."""


@pytest.mark.parametrize(("room", "rights"), [("gateway", GATEWAY), ("consumers", WORKERS), ("operations", WORKERS)])
def test_every_command_of_a_script_is_a_right(room: str, rights: tuple[str, ...]) -> None:
    scripts = list((ROOT / room).rglob("*.lua"))
    calls = [call for script in scripts for call in _CALL.findall(script.read_text())]
    assert calls
    needed = {f"+{name}|{sub}" if name in _CONTAINERS else f"+{name}" for name, sub in calls}
    assert {right.lower() for right in needed} - set(rights) == set()
