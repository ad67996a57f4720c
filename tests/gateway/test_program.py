"""`python -m gateway`: its settings, how it starts, how it stops, and its processes as one."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from tests.support.events import HMAC_SECRET, SOURCES_TOML, Signed
from tests.support.gateway import Answer, Client, payment, request
from tests.support.processes import Gateway, Programs
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PROCESSES = {"GATEWAY_PROCESSES": "2", "LOG_LEVEL": "info"}


async def post(gateway: Gateway, signed: Signed) -> Answer:
    async with await Client.connect(gateway.port) as client:
        await client.send(request(signed.path, signed.body, signed.headers))
        return await client.answer()


async def metric(gateway: Gateway, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.operators_url}/metrics") as response:
        text = await response.text()
    return sum(float(value) for value in re.findall(rf"^webhook_gateway_{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


async def processes(gateway: Gateway) -> list[int]:
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children")
    return [int(pid) for pid in (await asyncio.to_thread(children.read_text)).split()]


def is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" in status.read_text()


async def test_every_wrong_setting_is_in_one_message(programs: Programs) -> None:
    env = {
        "REDIS_URL": "http://user:hidden-password@host", "GATEWAY_PORT": "eighty", "BACKLOG_LIMIT": "0",
        "DURABILITY": "maybe", "DURABILITY_TIMEOUT_S": "0",
    }  # fmt: skip
    code, output, errors = await programs.run("gateway", env)
    assert (code, output) == (2, "")
    for name in env:
        assert f"{name}: " in errors
    assert "hidden-password" not in errors
    assert "Traceback" not in errors


async def test_limits_that_contradict_each_other(programs: Programs) -> None:
    code, _, errors = await programs.run("gateway", {"DURABILITY_TIMEOUT_S": "5", "REDIS_TIMEOUT_S": "5"})
    assert code == 2
    assert "DURABILITY_TIMEOUT_S must be less than REDIS_TIMEOUT_S" in errors


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (None, "cannot be read"),
        ('[stripe]\nprovider = "stripe"\nsecrets = ["${NOT_SET}"]\n[other]\nprovider = "none"\n', "NOT_SET"),
        ('[stripe]\nprovider = "stripe"\nsecrets = []\n', "secrets"),
        ('[stripe]\nprovider = "stripe"\nsecrets = [" "]\n', "secret"),
    ],
)
async def test_sources_that_cannot_be_used_stop_the_boot(programs: Programs, toml: str | None, expected: str) -> None:
    file = programs.folder / "sources.toml"
    if toml is not None:
        file.write_text(toml)
    code, _, errors = await programs.run("gateway", {"SOURCES_FILE": str(file)})
    assert code == 2
    assert expected in errors
    assert "Traceback" not in errors


async def test_a_port_that_is_taken(valkey: ValkeyServer, programs: Programs) -> None:
    (programs.folder / "sources.toml").write_text(SOURCES_TOML)
    env = {"GATEWAY_PORT": str(valkey.port), "REDIS_URL": valkey.url}
    code, _, errors = await programs.run("gateway", env)
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{valkey.port}" in errors
    assert "Traceback" not in errors


async def test_settings_come_from_the_environment_then_env_then_the_stack(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    """`.env` names the data folder, the stack's file there names Redis, and `.env` holds the secret."""
    toml = '[default]\nprovider = "hmac"\nsecrets = ["${WEBHOOK_SECRET}"]\n'
    data_dir = programs.folder / "data"
    data_dir.mkdir()
    (data_dir / "stack.env").write_text(f"REDIS_URL={valkey.url}\nKEY_PREFIX=of-the-stack\n")
    (programs.folder / ".env").write_text(f'DATA_DIR={data_dir}\nKEY_PREFIX=of-env\nWEBHOOK_SECRET="{HMAC_SECRET}"\n')
    gateway = await programs.gateway("", key_prefix, sources_toml=toml)
    assert (await post(gateway, payment())).status == 202
    async with Redis.from_url(valkey.url, protocol=2) as redis:
        assert await redis.xlen(Keys(key_prefix).events) == 1


async def test_it_starts_before_redis_does(private_valkey: ValkeyServer, key_prefix: str, programs: Programs) -> None:
    private_valkey.stop()
    gateway = await programs.gateway(private_valkey.url, key_prefix, {"DURABILITY_CHECK_S": "0.1"}, ready=False)
    await gateway.ready("/healthz")
    assert (await post(gateway, payment())).status == 503
    await private_valkey.restart()
    await gateway.ready()
    assert (await post(gateway, payment())).status == 202


async def test_logs_are_json_lines_without_secrets_or_bodies(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix, {"REFUSALS_LOGGED_PER_MINUTE": "3", "LOG_LEVEL": "debug"})
    refused = Signed("/webhook", b'{"card": "4242424242424242"}', {"X-Signature": "f00d" * 16}, "")
    for _ in range(20):
        assert (await post(gateway, refused)).status == 401
    assert (await post(gateway, payment())).status == 202
    assert gateway.stop() == 0
    lines = [json.loads(line) for line in gateway.log.splitlines()]
    assert all(line["event"] and line["level"] and line["timestamp"] for line in lines)
    assert len([line for line in lines if line["event"] == "request refused"]) <= 6
    assert len([line for line in lines if line["event"] == "request refused"]) >= 3
    for hidden in ("4242", "f00d", valkey.password, HMAC_SECRET):
        assert hidden not in gateway.log


@pytest.mark.parametrize("env", [{}, PROCESSES], ids=["alone", "processes"])
async def test_sigterm_finishes_the_requests_under_way(
    private_valkey: ValkeyServer, key_prefix: str, programs: Programs, env: dict[str, str]
) -> None:
    last = payment(99)
    sent = request(last.path, last.body, last.headers)
    async with TcpProxy(private_valkey.port) as proxy:
        gateway = await programs.gateway(proxy.url(private_valkey.url), key_prefix, env | {"DURABILITY_CHECK_S": "300"})
        async with await Client.connect(gateway.port) as half_sent, await Client.connect(gateway.port) as idle:
            await half_sent.send(sent[:-10])
            proxy.stall()
            posting = [asyncio.create_task(post(gateway, payment(number))) for number in range(20)]
            await until(lambda: metric_is(gateway, "verified_total", 20), what="all requests are under way")
            gateway.signal(signal.SIGTERM)
            assert await idle.closed()
            proxy.resume()
            assert {answer.status for answer in await asyncio.gather(*posting)} == {202}
            await half_sent.send(sent[-10:])
            answer = await half_sent.answer()
            assert (answer.status, answer.headers["connection"]) == (202, "close")
        assert await asyncio.to_thread(gateway.wait) == 0
    async with Redis.from_url(private_valkey.url, protocol=2) as redis:
        assert await redis.xlen(Keys(key_prefix).events) == 21


async def metric_is(gateway: Gateway, name: str, value: float) -> bool:
    return await metric(gateway, name) == value


async def test_requests_that_do_not_finish_in_time_are_cut_off(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix, {"SHUTDOWN_TIMEOUT_S": "0.3"})
    async with await Client.connect(gateway.port) as client:
        await client.send(request("/webhook", b"x" * 100)[:-1])
        await until(lambda: metric_is(gateway, "connections", 1), what="the gateway has the connection")
        gateway.signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.wait) == 1


async def test_processes_count_as_one_and_are_replaced(
    valkey: ValkeyServer, key_prefix: str, programs: Programs
) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix, PROCESSES)
    await until(lambda: has_processes(gateway, 2), what="both processes run")
    answers = await asyncio.gather(*(post(gateway, payment(number % 50)) for number in range(100)))
    assert sorted(answer.status for answer in answers) == [200] * 50 + [202] * 50
    await until(lambda: metric_is(gateway, "requests_total", 100), what="all requests are counted")
    await until(lambda: metric_is(gateway, "durable", 1), what="both processes have checked Redis")
    held = [await Client.connect(gateway.port) for _ in range(20)]
    await until(lambda: metric_is(gateway, "connections", 20), what="all connections are counted")
    killed, *_ = await processes(gateway)
    os.kill(killed, signal.SIGKILL)
    await until(lambda: has_others(gateway, killed), what="another takes its place")
    for client in held:
        await client.__aexit__()
    await until(lambda: metric_is(gateway, "connections", 0), what="the dead process holds no connection any more")
    assert await metric(gateway, "requests_total") == 100
    assert (await post(gateway, payment(1))).status == 200
    assert await asyncio.to_thread(gateway.stop) == 0


async def has_processes(gateway: Gateway, count: int) -> bool:
    return len(await processes(gateway)) == count


async def has_others(gateway: Gateway, killed: int) -> bool:
    found = await processes(gateway)
    return len(found) == 2 and killed not in found


async def test_processes_end_with_their_parent(valkey: ValkeyServer, key_prefix: str, programs: Programs) -> None:
    gateway = await programs.gateway(valkey.url, key_prefix, PROCESSES)
    await until(lambda: has_processes(gateway, 2), what="both processes run")
    children = await processes(gateway)
    gateway.signal(signal.SIGKILL)
    await until(lambda: all(map(is_gone, children)), what="no process is left alone")
