"""The stack in containers, through `docker compose` and compose.yaml."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from typing_extensions import override

from stack import ready, state
from stack.base import Running, Stack, StackError
from stack.ports import HOST
from stack.settings import Settings
from stack.state import State

PROBE_TIMEOUT_S = 10
"""An engine that does not say within this that it is there, is not there."""

BUILD_TIMEOUT_S = 1800
"""The first `up` pulls and builds images."""

COMMAND_TIMEOUT_S = 300

LONG_RUNNING = ("valkey", "postgres", "consumers", "gateway")
"""The services that keep running; `migrate` runs once."""

INSPECT = '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}'


def engine_answers() -> bool:
    """Whether a container engine with Compose answers here."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        for question in (["compose", "version"], ["info"]):
            subprocess.run([docker, *question], check=True, capture_output=True, timeout=PROBE_TIMEOUT_S)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return True


class Compose(Stack):
    """One Compose project, named after its DATA_DIR so that several live side by side."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._data_dir = settings.data_dir

    @override
    def up(self) -> bool:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self._ids()
        if not before:
            last = state.read(self._data_dir)
            ports = state.choose_ports(last.ports if last else None, self._settings.ports_asked_for)
            state.write(self._data_dir, State("compose", ports, self._settings.digest))
        consumers = len(self._ids("consumers")) if before else self._settings.consumers
        self._run("up", "--detach", "--build", f"--scale=consumers={consumers}", timeout_s=BUILD_TIMEOUT_S)
        environment = self.environment
        names = ("GATEWAY_URL", "REDIS_URL", "DATABASE_URL")
        state.write_environment(self._data_dir, *(environment[name] for name in names))
        waiter = ready.Waiter(time.monotonic() + self._settings.up_timeout_s)
        waiter.until("gateway", partial(ready.gateway_answers, self.gateway_url), None, int)
        self._wait_for_consumers(consumers)
        return self._ids() != before

    @override
    def down(self) -> bool:
        if not self._ids():
            return False
        for service in ("gateway", "consumers"):
            self._run("stop", service)
        self._run("down")
        return True

    @override
    def scale(self, consumers: int) -> None:
        if not self._ids():
            raise StackError("nothing runs here; `make up` starts it")
        self._run("up", "--detach", "--no-recreate", "--no-deps", f"--scale=consumers={consumers}", "consumers")
        self._wait_for_consumers(consumers)

    @override
    def running(self) -> list[Running]:
        ids = self._ids()
        lines = self._docker("inspect", f"--format={INSPECT}", *ids).splitlines() if ids else []
        return sorted((_running(line) for line in lines), key=lambda process: process.name)

    @override
    def missing(self) -> list[str]:
        running = {process.name for process in self.running()}
        return [service for service in LONG_RUNNING if service not in running]

    @override
    def logs(self, follow: bool, lines: int) -> None:
        argv = [*self._argv(), "logs", f"--tail={lines}", *(["--follow"] if follow else [])]
        subprocess.run(argv, env=self._compose_environment(), check=False)  # noqa: S603 -- our own arguments

    @property
    @override
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self._ports.gateway}"

    @property
    @override
    def environment(self) -> Mapping[str, str]:
        redis_password = quote(self._settings.redis_password.get_secret_value(), safe="")
        postgres_password = quote(self._settings.postgres_password.get_secret_value(), safe="")
        return {
            **self._environ,
            "DATA_DIR": str(self._data_dir),
            "GATEWAY_URL": self.gateway_url,
            "REDIS_URL": f"redis://:{redis_password}@{HOST}:{self._ports.redis}/0",
            "DATABASE_URL": f"postgresql://payments:{postgres_password}@{HOST}:{self._ports.postgres}/payments",
        }

    @property
    def _ports(self) -> state.Ports:
        chosen = state.read(self._data_dir)
        if chosen is None:
            raise StackError(f"no stack was ever started with DATA_DIR={self._data_dir}; `make up` starts one")
        return chosen.ports

    def _wait_for_consumers(self, target: int) -> None:
        async def run() -> str:
            found = len(self._ids("consumers"))
            return "" if found == target else f"{found} of {target} workers run"

        ready.Waiter(time.monotonic() + self._settings.up_timeout_s).until("consumers", run, None, int)

    def _ids(self, *services: str) -> list[str]:
        """The running containers."""
        return self._run("ps", "--quiet", "--status=running", *services).split()

    def _argv(self) -> list[str]:
        folder = hashlib.sha256(str(self._data_dir).encode()).hexdigest()[:8]
        return ["docker", "compose", f"--project-name=payments-{folder}"]

    def _compose_environment(self) -> dict[str, str]:
        chosen = state.read(self._data_dir)
        ports = {} if chosen is None else {f"{name.upper()}_PORT": str(port) for name, port in _published(chosen)}
        return {**self._environ, **ports, "SETTINGS_DIGEST": self._settings.digest}

    def _run(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        return _output([*self._argv(), *arguments], self._compose_environment(), timeout_s)

    def _docker(self, *arguments: str) -> str:
        return _output(["docker", *arguments], self._compose_environment(), COMMAND_TIMEOUT_S)


def _published(chosen: State) -> list[tuple[str, int]]:
    return [("gateway", chosen.ports.gateway), ("redis", chosen.ports.redis), ("postgres", chosen.ports.postgres)]


def _output(argv: list[str], environment: dict[str, str], timeout_s: float) -> str:
    done = subprocess.run(  # noqa: S603 -- our own arguments
        argv, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    if done.returncode != 0:
        raise StackError(f"`{' '.join(argv)}` failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout


def _running(line: str) -> Running:
    name, pid, started_at, restarts = line.split()
    # Nanoseconds, which datetime does not read.
    since = datetime.fromisoformat(started_at[:19]).replace(tzinfo=UTC)
    return Running(name, int(pid), (datetime.now(UTC) - since).total_seconds(), int(restarts))
