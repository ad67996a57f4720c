"""One of several servers behind an address is dead: programs work with the others."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.consuming import Workers
from tests.support.gateway import payment, running
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.silent import DEAD_HOST, silent_server
from tests.support.wait import until

HOST = "127.0.0.1"
NAME = "servers.example"


@pytest.fixture
def _name_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let NAME lead to a dead address, and then to the real one."""
    real: Callable[..., Any] = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        names = [DEAD_HOST, HOST] if host in (NAME, NAME.encode()) else [host]
        return [found for name in names for found in real(name, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("_name_of_two")
async def test_programs_find_the_living_address_of_a_name(
    workers: Workers, valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    redis_url = workers.settings.redis_url.get_secret_value().replace(HOST, NAME)
    database_url = workers.settings.database_url.get_secret_value().replace(HOST, NAME)
    with silent_server(valkey.port), silent_server(postgres.port):
        async with (
            running(
                valkey.url.replace(HOST, NAME), workers.keys.prefix, redis_timeout_s=1, durability_timeout_s=0.5
            ) as gateway,
            workers.working(redis_url=SecretStr(redis_url), database_url=SecretStr(database_url), acquire_timeout_s=1),
        ):

            async def is_accepted() -> bool:
                return (await gateway.post(payment())).status == 202

            await until(is_accepted, what="the gateway reaches Redis")
            await until(lambda: workers.has_applied(1), what="the worker reaches both")


async def test_a_worker_finds_the_living_one_of_several_servers(workers: Workers, postgres: PostgresServer) -> None:
    url = workers.settings.database_url.get_secret_value()
    several = url.replace(f"{HOST}:{postgres.port}", f"{DEAD_HOST}:{postgres.port},{HOST}:{postgres.port}")
    await workers.publish(1)
    with silent_server(postgres.port):
        async with workers.working(database_url=SecretStr(several), acquire_timeout_s=1):
            await workers.drained()
    assert await workers.events() == ["evt_0"]
