"""The programs of an embedded stack, and how each is started and stopped."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from runtime.redis_rights import GATEWAY, WORKERS, rules
from runtime.setting_names import SETTING_NAMES
from stack.access import read_access
from stack.ports import HOST
from stack.postgres import WORKERS_ROLE, Postgres
from stack.settings import Settings
from stack.state import Ports
from stack.valkey import Valkey

Name = Literal["valkey", "postgres", "consumers", "gateway", "console", "reconciler"]

LAUNCHER = Path(__file__).parent / "launch.py"

ORDER: tuple[Name, ...] = ("valkey", "postgres", "consumers", "gateway", "console", "reconciler")
"""The order of starting. They stop in reverse."""

OF_A_SERVER: Mapping[Name, str] = {"valkey": "REDIS_URL", "postgres": "DATABASE_URL"}
"""The settings that name a server of the user's own in place of ours."""

SERVER_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""The variables that the servers inherit; the providers' secrets are not among them."""

OF_OTHERS = frozenset(
    {
        "MIGRATE_DATABASE_URL",
        "POSTGRES_PASSWORD",
        "WORKERS_POSTGRES_PASSWORD",
        "REDIS_PASSWORD",
        "GATEWAY_REDIS_PASSWORD",
        "WORKERS_REDIS_PASSWORD",
    }
)
"""The variables that gateway and workers do not get: each has its own password in its URLs."""

OF_CONSOLE = frozenset({"CONSOLE_PASSWORD_HASH", "DATABASE_READ_URL", "NOTIFY_URL", "NOTIFY_SECRET"})
"""The variables that only the console gets: who may sign in, where it reads, and where notifications go."""

CONSOLES_OTHERS = frozenset({"PYTHONPATH", "VIRTUAL_ENV", "GATEWAY_URL", "GATEWAY_OPERATORS_URL"})
"""What the console gets besides settings."""

RECONCILERS_OTHERS = frozenset({"PYTHONPATH", "VIRTUAL_ENV"})
"""What the reconciler gets besides settings and the access to APIs."""

OF_GATEWAY = frozenset({"GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY"})

SERVER_STOP_TIMEOUT_S = 120
"""How long a server may take to write its data before it is killed."""


@dataclass(frozen=True, slots=True)
class Program:
    """One managed program. `environment` holds secrets and is shown nowhere."""

    name: Name
    argv: list[str]
    environment: Mapping[str, str] = field(repr=False)
    processes: int = 1
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = SERVER_STOP_TIMEOUT_S
    waits_for_servers: bool = False
    listens: tuple[str, int] | None = None
    """The address of a socket that the manager holds, and the program's processes inherit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one stack consists of. `valkey` and `postgres` are None where a setting names another server."""

    settings: Settings
    ports: Ports
    environ: Mapping[str, str] = field(repr=False)
    valkey: Valkey | None
    postgres: Postgres | None

    @property
    def redis_url(self) -> str:
        """The address of Redis, for operators. Contains the password."""
        return self.valkey.url() if self.valkey else _given(self.settings.redis_url)

    @property
    def database_url(self) -> str:
        """The address of Postgres, for workers and operators. Contains the password."""
        return _workers_url(self.settings, self.postgres) if self.postgres else _given(self.settings.database_url)

    @property
    def owner_database_url(self) -> str:
        """The address of Postgres, for the owner of the tables. Contains the password; empty where it is not ours."""
        return self.postgres.url() if self.postgres else ""

    @property
    def others_urls(self) -> tuple[str, str]:
        """The addresses of Redis and of Postgres where these are servers of the user's own, else empty."""
        return "" if self.valkey else self.redis_url, "" if self.postgres else self.database_url

    @property
    def gateway_url(self) -> str:
        """The address of the gateway, as seen from this host."""
        return f"{self.settings.gateway_scheme}://{_shown(self.settings.gateway_host)}:{self.ports.gateway}"

    @property
    def gateway_operators_url(self) -> str | None:
        """The address of the gateway's operators' port, None without one."""
        port = self.ports.gateway_operators
        return f"http://{_shown(self.settings.gateway_operators_host)}:{port}" if port else None

    @property
    def workers_metrics_url(self) -> str | None:
        """The address of the workers' /metrics, None without one."""
        port = self.ports.consumers_metrics
        return f"http://{_shown(self.settings.consumers_metrics_host)}:{port}" if port else None

    @property
    def console_url(self) -> str | None:
        """The address of the console, None without one."""
        return f"http://{_shown(self.settings.console_host)}:{self.ports.console}" if self.ports.console else None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of gateway, workers and commands: ours, and the addresses of all parts."""
        return {
            **self.environ,
            "DATA_DIR": str(self.settings.data_dir),
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            **({"MIGRATE_DATABASE_URL": self.owner_database_url} if self.postgres else {}),
            "GATEWAY_URL": self.gateway_url,
            "GATEWAY_HOST": self.settings.gateway_host,
            "GATEWAY_PORT": str(self.ports.gateway),
            **({"GATEWAY_OPERATORS_URL": self.gateway_operators_url} if self.gateway_operators_url else {}),
            "GATEWAY_OPERATORS_PORT": str(self.ports.gateway_operators),
            "CONSUMERS_METRICS_PORT": str(self.ports.consumers_metrics),
            **({"CONSOLE_URL": self.console_url} if self.console_url else {}),
            "CONSOLE_PORT": str(self.ports.console),
        }

    def programs(self) -> list[Program]:
        """Return the programs in the order of starting."""
        found: list[Program] = []
        plain = {name: self.environ[name] for name in SERVER_ENVIRONMENT if name in self.environ}
        if self.valkey:
            found.append(Program("valkey", self.valkey.command(), plain))
        if self.postgres:
            command = self.postgres.command(death_signal="INT")
            found.append(Program("postgres", command, plain, stop_signal=signal.SIGINT))
        return [*found, *self.parts(), self.console(), self.reconciler()]

    def console(self) -> Program:
        """Return the console. It gets its own settings and those of the workers, and no secret of a provider."""
        environment = {
            **self._workers_environment(),
            # People reach it by another address where a proxy is before it.
            **{name: value for name in (*OF_CONSOLE, "CONSOLE_URL") if (value := self.environ.get(name))},
        }
        kept = (SETTING_NAMES | set(SERVER_ENVIRONMENT) | CONSOLES_OTHERS) - OF_GATEWAY
        return Program(
            "console",
            [sys.executable, "-m", "operations", "console"],
            {name: value for name, value in environment.items() if name in kept},
            1 if self.ports.console else 0,
            stop_timeout_s=self.settings.stop_timeout_s,
            waits_for_servers=True,
        )

    def reconciler(self) -> Program:
        """Return what compares sources with their providers' lists. It gets the credentials of all APIs."""
        access = read_access(self.settings.sources_file)
        kept = (
            SETTING_NAMES | set(SERVER_ENVIRONMENT) | {"PYTHONPATH", "VIRTUAL_ENV"} | access.reconciler
        ) - OF_GATEWAY
        environment = self._workers_environment()
        # Of `.env` too, which it reads itself: by this a changed line replaces it.
        environment |= {name: value for name in access.reconciler if (value := self.environ.get(name))}
        return Program(
            "reconciler",
            [sys.executable, "-m", "operations", "reconciler"],
            {name: value for name, value in environment.items() if name in kept},
            1 if access.reconciles else 0,
            stop_timeout_s=self.settings.stop_timeout_s,
            waits_for_servers=True,
        )

    def _workers_environment(self) -> dict[str, str]:
        return dict(self._part("consumers", 0).environment)

    def parts(self) -> list[Program]:
        """Return the workers and the gateway."""
        return [self._part("consumers", self.settings.consumers), self._part("gateway", 1)]

    def _part(self, name: Name, processes: int) -> Program:
        environment = {key: value for key, value in self.environment.items() if key not in OF_OTHERS | OF_CONSOLE}
        access = read_access(self.settings.sources_file)
        for other in access.not_for_gateway if name == "gateway" else access.not_for_workers:
            environment.pop(other, None)
        if name == "gateway":
            environment.pop("DATABASE_URL", None)
        if self.valkey:
            password = (
                self.settings.gateway_redis_password if name == "gateway" else self.settings.workers_redis_password
            )
            user = "gateway" if name == "gateway" else "workers"
            environment["REDIS_URL"] = self.valkey.url(user=user, password=password.get_secret_value())
        if name == "consumers":
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir(self.settings.data_dir))
        return Program(
            name,
            [sys.executable, "-m", name],
            environment,
            processes,
            stop_timeout_s=self.settings.stop_timeout_s,
            waits_for_servers=True,
            listens=(self.settings.gateway_host, self.ports.gateway) if name == "gateway" else None,
        )


def plan(settings: Settings, ports: Ports, environ: Mapping[str, str]) -> Plan:
    """Return the plan of one stack. A server that a setting names is used, and none is started in its place."""
    data_dir = settings.data_dir
    users = {
        "gateway": rules(GATEWAY, settings.key_prefix, settings.gateway_redis_password.get_secret_value()),
        "workers": rules(WORKERS, settings.key_prefix, settings.workers_redis_password.get_secret_value()),
    }
    valkey = Valkey(data_dir / "valkey", ports.redis, settings.redis_password.get_secret_value(), users=users)
    postgres = Postgres(data_dir / "postgres", ports.postgres, settings.postgres_password.get_secret_value())
    # The setting may be the URL of our own server, if somebody exported stack.env.
    valkey_ours = _given(settings.redis_url) in ("", valkey.url())
    postgres_ours = _given(settings.database_url) in ("", _workers_url(settings, postgres))
    return Plan(settings, ports, environ, valkey if valkey_ours else None, postgres if postgres_ours else None)


def write_program(program: Program) -> dict[str, Any]:
    """Return a program as JSON for `define`. Contains secrets."""
    return {
        "name": program.name,
        "argv": program.argv,
        "environment": dict(program.environment),
        "processes": program.processes,
        "stop_signal": int(program.stop_signal),
        "stop_timeout_s": program.stop_timeout_s,
        "waits_for_servers": program.waits_for_servers,
        "listens": program.listens,
    }


def read_program(document: Mapping[str, Any]) -> Program:
    """Return the program of such a document."""
    listens = document["listens"]
    return Program(**{
        **document,
        "stop_signal": signal.Signals(document["stop_signal"]),
        "listens": (listens[0], listens[1]) if listens else None,
    })  # fmt: skip


def launched(log: Path, death_signal: signal.Signals, argv: list[str]) -> list[str]:
    """Wrap `argv` in launch.py, so that it writes to this log and ends with this process."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(log)]
    return [*launcher, str(int(death_signal)), str(os.getpid()), *argv]


def log_file(data_dir: Path, name: str) -> Path:
    """Return the log file of a program."""
    return data_dir / "log" / f"{name}.log"


def metrics_dir(data_dir: Path) -> Path:
    """Return the folder through which the workers share their metrics."""
    return data_dir / "metrics" / "consumers"


def _workers_url(settings: Settings, postgres: Postgres) -> str:
    return postgres.url(role=WORKERS_ROLE, password=settings.workers_postgres_password.get_secret_value())


def _shown(host: str) -> str:
    """Return the address by which this host reaches what listens on `host`."""
    return HOST if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host  # noqa: S104


def _given(url: SecretStr | None) -> str:
    return url.get_secret_value() if url else ""
