"""The stack in containers, through `docker compose` and compose.yaml."""

import asyncio
import hashlib
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from typing_extensions import override

from runtime.settings import SETTINGS_EXIT_CODE
from stack import containers as engine
from stack import ready, state
from stack.base import Running, Stack, StackError
from stack.check import WrongSettingsError, problems_text
from stack.compose_console import CONSOLE, start_console
from stack.compose_profile import PROFILE, start_observability
from stack.compose_reconciler import RECONCILER, start_reconciler, stop_reconciler, wanted_optional
from stack.compose_secrets import digests, secrets_of, write_names, write_secrets, written_for_checks
from stack.containers import CommandFailedError, Container, number, output, read_container, running_ids, start_commands
from stack.lock import Lock
from stack.ports import HOST
from stack.postgres import DATABASE, SUPERUSER, WORKERS_ROLE
from stack.progress import PROGRESS
from stack.settings import Settings
from stack.state import Ports, State

DOTENV = Path(".env")

BUILD_TIMEOUT_S = 1800
"""For `up`: the first one pulls and builds images."""

COMMAND_TIMEOUT_S = 300

LONG_RUNNING = ("valkey", "postgres", "consumers", "gateway")
"""The services that keep running; `migrate` runs once, and console and reconciler are apart."""

PUBLISHED = ("gateway", "gateway_operators", "console", "redis", "postgres")
"""The ports that this host can reach."""

KILL_TIMEOUT_S = 5
PAUSE_S = 0.05


class Compose(Stack):
    """One Compose project, named after its DATA_DIR, so that several can run on one host."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._data_dir = settings.data_dir
        self._secrets = settings.data_dir / "secrets"

    @override
    def up(self) -> bool:
        self._refuse_tls()
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        PROGRESS.step("waiting for another `make up` to end")
        with Lock(self._data_dir / "up.lock", self._settings.up_timeout_s) as lock:
            if not lock.held:
                raise StackError("another `make up` of this DATA_DIR is still running; nothing was done")
            before = self._containers()
            chosen, consumers = self._wanted(before)
            self.check()
            state.write(self._data_dir, chosen)
            self._start(before, consumers)
            start_console(self._run, self._containers, self.console_url, self._waiter())
            start_reconciler(self._run, self._containers, self._settings, self._waiter())
            start_observability(self._run, self._environ)
            state.write(self._data_dir, replace(chosen, consumers=self._settings.consumers))
            return running_ids(self._containers()) != running_ids(before)

    @override
    def check(self) -> None:
        self._refuse_tls()
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        secrets = secrets_of(self._settings, self._environ)
        write_names(self._names_file, DOTENV)
        PROGRESS.step("building the image; the first time, others are downloaded for it")
        self._run("build", timeout_s=BUILD_TIMEOUT_S)
        PROGRESS.step("checking all settings, sources and handlers")
        self._refuse_another_password()
        problems: list[str] = []
        with written_for_checks(self._data_dir, secrets) as folder:
            for service in ("gateway", "consumers"):
                # In a container of its own, which sees what the service will see; what runs is left alone.
                command = ("run", "--rm", "--no-deps", "--no-TTY", service, "python", "-m", service, "check")
                try:
                    self._run(*command, secrets=folder)
                except CommandFailedError as error:
                    problems += (error.said if error.exit_code == SETTINGS_EXIT_CODE else f"{error}").splitlines()
        if any("Permission denied" in problem for problem in problems):
            problems.append(engine.NOT_READABLE)
        if problems:
            raise WrongSettingsError(problems_text(problems))

    @override
    def down(self) -> bool:
        if not self._containers():
            return False
        PROGRESS.step("stopping the containers")
        stop_reconciler(self._run, self._containers())
        for service in (CONSOLE, "gateway", "consumers"):
            self._run("stop", service)
        self._run(f"--profile={PROFILE}", f"--profile={RECONCILER}", "down")
        return True

    @override
    def scale(self, consumers: int) -> None:
        if not any(container.runs for container in self._containers()):
            raise StackError("nothing runs here; `make up` starts it")
        # Not with --no-deps: the next `up` would replace a worker that was started with it.
        self._run("up", "--detach", "--no-recreate", f"--scale=consumers={consumers}", "consumers")
        self._wait_for_consumers(consumers)

    @property
    @override
    def workers_wanted(self) -> int:
        containers = self._containers()
        if not any(container.runs for container in containers):
            raise StackError("nothing runs here; `make up` starts it")
        return number(containers, "consumers")

    @override
    def workers(self) -> list[int]:
        return [found.process.pid for found in self._workers()]

    @override
    def kill_worker(self, pid: int) -> bool:
        ids = [found.container_id for found in self._workers() if found.process.pid == pid]
        for container_id in ids:
            self._docker("exec", "--detach", container_id, "sh", "-c", engine.KILL)
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while pid in self.workers():
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_S)
        return bool(ids)

    @override
    def running(self) -> list[Running]:
        containers = self._containers()
        restarts = Counter[str]()
        for container in containers:
            restarts[container.service] += container.process.restarts
        found = [replace(each.process, restarts=restarts[each.service]) for each in containers if each.runs]
        return sorted(found, key=lambda process: process.name)

    @override
    def missing(self) -> list[str]:
        containers = self._containers()
        run = [container for container in containers if container.runs]
        wanted = {service: 0 if service == "consumers" else 1 for service in LONG_RUNNING}  # none may be intended
        wanted |= wanted_optional(state.read(self._data_dir), self._settings)
        return [name for name, least in wanted.items() if number(run, name) < max(least, number(containers, name))]

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
    def workers_metrics_url(self) -> str | None:
        return None  # each container has its own port, and none is published

    @property
    @override
    def environment(self) -> Mapping[str, str]:
        redis_password = quote(self._settings.redis_password.get_secret_value(), safe="")
        address = f"{HOST}:{self._ports.postgres}/{DATABASE}"
        owner_password = quote(self._settings.postgres_password.get_secret_value(), safe="")
        workers_password = quote(self._settings.workers_postgres_password.get_secret_value(), safe="")
        console = f"http://{HOST}:{self._ports.console}"
        return {
            **self._environ,
            "DATA_DIR": str(self._data_dir),
            "GATEWAY_URL": self.gateway_url,
            **({"CONSOLE_URL": console} if self._ports.console else {}),
            "GATEWAY_OPERATORS_URL": f"http://{HOST}:{self._ports.gateway_operators}",
            "REDIS_URL": f"redis://:{redis_password}@{HOST}:{self._ports.redis}/0",
            "DATABASE_URL": f"postgresql://{WORKERS_ROLE}:{workers_password}@{address}",
            "MIGRATE_DATABASE_URL": f"postgresql://{SUPERUSER}:{owner_password}@{address}",
        }

    @property
    def _ports(self) -> Ports:
        chosen = state.read(self._data_dir)
        if chosen is None:
            raise StackError(f"no stack was ever started with DATA_DIR={self._data_dir}; `make up` starts one")
        return chosen.ports

    def _refuse_tls(self) -> None:
        if self._settings.gateway_scheme == "https":
            raise StackError(
                "GATEWAY_TLS_CERT is set, and in Docker Compose the gateway serves plain HTTP only; nothing was "
                "started. Remove GATEWAY_TLS_CERT and GATEWAY_TLS_KEY and put a proxy in front (docs/deploying.md), or "
                "set STACK=embedded."
            )

    def _wanted(self, before: list[Container]) -> tuple[State, int]:
        """Return the ports, and the number of workers, that settings ask for now. Raise PortTakenError."""
        last = state.read(self._data_dir)
        asked, known = self._settings.ports_asked_for, last.ports if last else None
        runs = any(container.runs for container in before)
        ports = state.ports_while_running(known, asked) if known and runs else state.choose_ports(known, asked)
        applied = last.consumers if last else None
        is_new = not before or applied not in (None, self._settings.consumers)
        consumers = self._settings.consumers if is_new else number(before, "consumers")
        return State("compose", ports, consumers=applied), consumers

    def _refuse_another_password(self) -> None:
        """Raise WrongPasswordError if the running PostgreSQL was created with another password than .env has now."""
        runs = any(found.service == "postgres" and found.runs for found in self._containers())
        if runs and state.read(self._data_dir):
            asyncio.run(ready.postgres_answers(self.environment["MIGRATE_DATABASE_URL"]))

    def _start(self, before: list[Container], consumers: int) -> None:
        write_secrets(self._secrets, secrets_of(self._settings, self._environ))
        PROGRESS.step("starting the containers; the first time, images are downloaded")
        try:
            for arguments in start_commands(before, consumers):
                self._run("up", "--detach", *arguments, timeout_s=BUILD_TIMEOUT_S)
            state.write_environment(self._data_dir, self.environment)
            self._waiter().until("gateway", partial(ready.gateway_answers, self.gateway_url), None, int)
            self._wait_for_consumers(consumers)
        except StackError as error:
            self._refuse_another_password()
            raise StackError(f"{error}{self._last_words()}") from error

    def _waiter(self) -> ready.Waiter:
        return ready.Waiter(time.monotonic() + self._settings.up_timeout_s)

    @property
    def _names_file(self) -> Path:
        return self._data_dir / "containers.env"

    def _last_words(self) -> str:
        """Return the last log lines of the containers that are not healthy."""
        unhealthy = {found.service for found in self._containers() if not found.done and found.health != "healthy"}
        return "".join(
            engine.last_lines(self._run, service) for service in sorted(unhealthy & {*LONG_RUNNING, "migrate"})
        )

    def _wait_for_consumers(self, target: int) -> None:
        async def run() -> str:
            healths = [found.health for found in self._containers() if found.service == "consumers"]
            healthy = healths.count("healthy")
            return "" if healthy == len(healths) == target else f"{healthy} of {target} workers are healthy"

        self._waiter().until("consumers", run, None, int)

    def _containers(self) -> list[Container]:
        """Return all containers, running or not, except those made with `docker compose run`."""
        ids = self._docker("ps", "--all", "--quiet", "--no-trunc", *self._filters()).split()
        lines = self._docker("inspect", f"--format={engine.INSPECT}", *ids).splitlines() if ids else []
        return [read_container(container_id, line) for container_id, line in zip(ids, lines, strict=True)]

    def _workers(self) -> list[Container]:
        return [found for found in self._containers() if found.service == "consumers" and found.runs]

    def _filters(self) -> list[str]:
        labels = (f"project={self._project}", "oneoff=False")
        return [f"--filter=label=com.docker.compose.{label}" for label in labels]

    @property
    def _project(self) -> str:
        return f"payments-{hashlib.sha256(str(self._data_dir).encode()).hexdigest()[:8]}"

    def _argv(self) -> list[str]:
        return ["docker", "compose", f"--project-name={self._project}"]

    def _compose_environment(self, secrets: Path | None = None) -> dict[str, str]:
        chosen = state.read(self._data_dir)
        ports = {f"{name.upper()}_PORT": str(getattr(chosen.ports, name)) for name in PUBLISHED} if chosen else {}
        # Absolute paths, because Compose takes a bare name for that of a volume.
        sources = {
            "SOURCES_FILE": str(self._settings.sources_file.expanduser().resolve()),
            "HANDLERS_FOLDER": str(self._settings.handlers_folder.expanduser().resolve()),
        }
        names = {"ENV_FILE": str(self._names_file)} if self._names_file.exists() else {}
        folder = secrets or self._secrets
        of_files = {"CONTAINER_SECRETS": str(folder), **digests(self._settings, folder)}
        return {**self._environ, **ports, **sources, **names, **of_files}

    def _run(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S, secrets: Path | None = None) -> str:
        return output([*self._argv(), *arguments], self._compose_environment(secrets), timeout_s)

    def _docker(self, *arguments: str) -> str:
        return output(["docker", *arguments], self._compose_environment(), COMMAND_TIMEOUT_S)
