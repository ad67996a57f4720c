"""Our own programs as real processes, with an environment of the test's own."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from redis.asyncio import Redis

from contract.keys import Keys
from stack.ports import HOST, free_port
from tests.support.checker import reading
from tests.support.child import Child, dying_with_parent
from tests.support.events import SOURCES_TOML
from tests.support.servers import as_user
from tests.support.wait import until

ROOT = Path(__file__).parents[2]

READY_TIMEOUT_S = 60.0
"""A program is ready within a second or two; on a machine with other work it takes longer."""

PROBE_TIMEOUT_S = 2.0

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")
"""What our programs inherit from the test's environment; every setting comes from the test."""


class Gateway(Child):
    """`python -m gateway`, serving at `.url`."""

    port: int
    operators_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def operators_url(self) -> str:
        return f"http://{HOST}:{self.operators_port}"

    async def ready(self, path: str = "/readyz", *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait for a 200 of this path."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await until(lambda: self._answers(session, path), timeout_s=timeout_s, what=f"{path} says 200")

    async def _answers(self, session: aiohttp.ClientSession, path: str) -> bool:
        assert self.is_running, f"the gateway ended while it started:\n{self.log}"
        try:
            async with session.get(self.url + path) as response:
                return response.status == 200
        except (aiohttp.ClientConnectionError, TimeoutError):
            return False


class Programs:
    """Starts programs and ends them with the test. `folder` holds their logs and their working directory.

    `root` is the checkout whose code runs; `under` is a command in front of Python, such as a profiler; `python` is
    the interpreter, such as one of another environment.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shows_logs: bool = True,
        root: Path = ROOT,
        under: Sequence[str] = (),
        python: str = sys.executable,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._python = python
        self._root = root
        self._under = under
        self.shows_logs = shows_logs
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self.children:
            child.kill()
        for child in (
            self.children if self.shows_logs else ()
        ):  # pytest shows what is printed here only where the test failed.
            print(f"---- {child.name}\n{child.log}")

    def start(self, module: str, env: Mapping[str, str], arguments: tuple[str, ...] = ()) -> Child:
        """`python -m module` with this environment; returns at once."""
        child = Child(*self._named(module))
        self._launch(child, module, env, arguments)
        return child

    async def gateway(
        self,
        redis_url: str,
        key_prefix: str,
        env: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        sources_toml: str = SOURCES_TOML,
        ready: bool = True,
        module: str = "gateway",
    ) -> Gateway:
        """A gateway on a port of its own with the sources of tests.support.events, once it is ready."""
        gateway = Gateway(*self._named("gateway"))
        gateway.port = port or free_port()
        gateway.operators_port = free_port()
        sources = self.folder / f"{gateway.name}.toml"
        sources.write_text(sources_toml)
        settings = {
            "REDIS_URL": as_user("gateway", redis_url),
            "KEY_PREFIX": key_prefix,
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(gateway.port),
            "GATEWAY_OPERATORS_PORT": str(gateway.operators_port),
            "SOURCES_FILE": str(sources),
        }
        self._launch(gateway, module, settings | dict(env or {}), ())
        if ready:
            await gateway.ready()
        return gateway

    async def consumers(
        self, redis_url: str, database_url: str, key_prefix: str, n: int = 1, env: Mapping[str, str] | None = None,
        *, seen_at: str = "",
    ) -> list[Child]:  # fmt: skip
        """`n` more workers, once each has leased its slot, which a test sees at `seen_at`, else at the same address."""
        settings = {
            "REDIS_URL": as_user("workers", redis_url),
            "DATABASE_URL": database_url,
            "KEY_PREFIX": key_prefix,
            "CONSUMERS_METRICS_PORT": "0",
        } | dict(env or {})
        keys = Keys(key_prefix)
        async with reading(seen_at or redis_url) as redis:
            before = await _leased(redis, keys)
            started = [self.start("consumers", settings) for _ in range(n)]
            await until(
                lambda: self._are_ready(redis, keys, started, before + n),
                timeout_s=READY_TIMEOUT_S,
                what=f"{n} more workers have slots",
            )
        return started

    async def run(self, module: str, env: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
        """Runs a command to its end: exit code, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            self._python, "-m", module, *arguments,
            env=self._env(env), cwd=self.folder, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await asyncio.wait_for(process.communicate(), READY_TIMEOUT_S)
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def _are_ready(self, redis: Redis, keys: Keys, started: list[Child], slots: int) -> bool:
        for child in started:
            assert child.is_running, f"{child.name} ended while it started:\n{child.log}"
        return await _leased(redis, keys) >= slots

    def _launch(self, child: Child, module: str, env: Mapping[str, str], arguments: tuple[str, ...]) -> None:
        self.children.append(child)
        argv = dying_with_parent([*self._under, self._python, "-m", module, *arguments])
        child.launch(argv, self._env(env), self.folder)

    def _named(self, module: str) -> tuple[str, Path]:
        name = f"{module}-{len(self.children) + 1}"
        return name, self.folder / f"{name}.log"

    def _env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Nothing leaks in: no setting of this machine, and no `.env`, because the working directory is the test's."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return kept | {"PYTHONPATH": str(self._root), "PYTHONUNBUFFERED": "1"} | dict(env)


SLOTS_LOOKED_AT = 64
"""More workers than any test starts."""


async def _leased(redis: Redis, keys: Keys) -> int:
    """How many workers work: each has a lease of the only partition, or is a member, whatever its share is."""
    if await redis.hget(keys.partitions, "read"):
        return int(await redis.hlen(keys.members))
    return int(await redis.exists(*(keys.slot(number) for number in range(1, SLOTS_LOOKED_AT + 1))))
