"""The containers' commands and variables, run against real servers as a cluster would run them."""

import signal
from asyncio import gather
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from operations.console.access import hash_password
from stack.ports import HOST, free_port
from tests.support.chart import environment, pods, rendered
from tests.support.child import Child
from tests.support.database import as_worker
from tests.support.events import STRIPE_SECRET, signed_stripe, stripe_event
from tests.support.load import deliver
from tests.support.processes import PROBE_TIMEOUT_S, READY_TIMEOUT_S, Programs
from tests.support.servers import ValkeyServer, as_user
from tests.support.wait import until

TOML = '[stripe]\nprovider = "stripe"\nsecrets = ["${STRIPE_WEBHOOK_SECRET}"]\n'
ADDRESS = {"gateway": "GATEWAY_OPERATORS", "consumers": "CONSUMERS_METRICS", "console": "CONSOLE"}
"""What the variables of each program's health pages begin with."""


class Pods:
    """The chart's Pods with Secrets, as processes of this machine on free ports."""

    def __init__(self, programs: Programs, specs: dict[str, Any], secrets: dict[str, str]) -> None:
        self._programs = programs
        self._specs = specs
        self._secrets = secrets
        self.ports: dict[str, int] = {}

    def variables(self, name: str) -> dict[str, str]:
        """Return what the container gets; only addresses and the mounted file are this machine's."""
        env = environment(self._specs[name])
        filled = {key: value if isinstance(value, str) else self._secrets[value[1]] for key, value in env.items()}
        for key, value in filled.items():
            if value == "0.0.0.0":
                port = key.removesuffix("_HOST") + "_PORT"
                assert filled[port].isdigit()
                self.ports.setdefault(port, free_port())
                filled |= {key: HOST, port: str(self.ports[port])}
        if "SOURCES_FILE" in filled:
            filled["SOURCES_FILE"] = str(self._programs.folder / Path(filled["SOURCES_FILE"]).name)
        return filled

    def command(self, name: str) -> list[str]:
        """Return the module and its arguments."""
        (container,) = self._specs[name]["containers"]
        assert container["command"][:2] == ["python", "-m"]
        return list(container["command"][2:])

    async def start(self, name: str, probe: str) -> Child:
        """Start it, and wait until this probe of the chart is passed."""
        module, *arguments = self.command(name)
        child = self._programs.start(module, self.variables(name), tuple(arguments))
        path = self._specs[name]["containers"][0][probe]["httpGet"]["path"]
        url = f"http://{HOST}:{self.ports[ADDRESS[name] + '_PORT']}{path}"

        async def passes() -> bool:
            assert child.is_running, child.log
            try:
                async with session.get(url) as answer:
                    return answer.status == 200
            except (aiohttp.ClientConnectionError, TimeoutError):
                return False

        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)) as session:
            await until(passes, timeout_s=READY_TIMEOUT_S, what=f"{name} passes its {probe}")
        return child

    def stop(self, running: dict[str, Child]) -> dict[str, int]:
        """Send SIGTERM, and return the exit codes of those that end in the time that their Pods have."""
        for child in running.values():
            child.signal(signal.SIGTERM)
        return {name: child.wait(self._specs[name]["terminationGracePeriodSeconds"]) for name, child in running.items()}


@pytest.fixture
def started(programs: Programs, valkey: ValkeyServer, empty_database_url: str, key_prefix: str) -> Pods:
    values = {
        "secrets": {
            "providers": [{"name": "STRIPE_WEBHOOK_SECRET", "existingSecret": "stripe", "key": "STRIPE_WEBHOOK_SECRET"}]
        },
        "settings": {"KEY_PREFIX": key_prefix, "BACKLOG_LIMIT": 1_000_000},
        "sources": {"toml": TOML},
        "console": {"enabled": True},
    }
    objects = rendered(values)
    (config,) = [each for each in objects if each["kind"] == "ConfigMap"]
    for file, text in config["data"].items():
        (programs.folder / file).write_text(text)
    secrets = {
        "GATEWAY_REDIS_URL": as_user("gateway", valkey.url),
        "WORKERS_REDIS_URL": as_user("workers", valkey.url),
        "DATABASE_URL": as_worker(empty_database_url),
        "MIGRATE_DATABASE_URL": empty_database_url,
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "CONSOLE_PASSWORD_HASH": hash_password("a password of the console"),
    }
    return Pods(programs, pods(objects), secrets)


async def test_an_event_goes_through_the_pods_and_all_stop_in_time(
    started: Pods, programs: Programs, empty_database_url: str
) -> None:
    module, *arguments = started.command("migrate")
    code, _, errors = await programs.run(module, started.variables("migrate"), *arguments)
    assert code == 0, errors
    names = ("consumers", "gateway", "console")
    running = dict(zip(names, await gather(*(started.start(name, "readinessProbe") for name in names)), strict=True))
    async with aiohttp.ClientSession() as session:
        url = f"http://{HOST}:{started.ports['GATEWAY_PORT']}"
        answer = await deliver(session, url, signed_stripe(stripe_event("evt_1", "pi_1")))
    assert answer.status == 202
    connection = await asyncpg.connect(empty_database_url)
    try:
        await until(lambda: connection.fetchval("SELECT count(*) FROM events"), what="the event is applied")
    finally:
        await connection.close()
    assert started.stop(running) == dict.fromkeys(names, 0)
