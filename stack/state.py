"""The choices of `make up`, kept in DATA_DIR: kind and ports in stack.json, addresses for other tools in stack.env."""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from stack.base import StackError
from stack.ports import PortTakenError, holder, is_free, usual_or_free

Kind = Literal["compose", "embedded"]

REDIS_PORT = 6379
POSTGRES_PORT = 5432
GATEWAY_PORT = 8080
METRICS_PORT = 9100
OPERATORS_PORT = 9101
CONSOLE_PORT = 9180


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of all programs. One is chosen, and not used, even for a server that a setting names."""

    redis: int
    postgres: int
    gateway: int
    consumers_metrics: int
    gateway_operators: int = OPERATORS_PORT
    console: int = CONSOLE_PORT


PORTS_OF: Mapping[str, tuple[str, ...]] = {
    "consumers": ("consumers_metrics",),
    "gateway": ("gateway", "gateway_operators"),
    "console": ("console",),
}
"""The ports of each program that `make up` can change while it runs."""

MAY_BE_TAKEN = frozenset({"console"})
"""A taken port of these programs is their own failure, and stops nothing else."""


@dataclass(frozen=True, slots=True)
class State:
    """The choices of the last `make up`."""

    kind: Kind
    ports: Ports
    digests: dict[str, str] = field(default_factory=dict)
    """For each program of the embedded stack what it was started with, by which a change is noticed."""
    consumers: int | None = None
    """The setting CONSUMERS that was applied; `make consumers` changes the running pool without it."""

    def without(self, names: Collection[str]) -> "State":
        """Return these choices without the digests of some programs, which so count as changed."""
        return replace(self, digests={name: digest for name, digest in self.digests.items() if name not in names})

    def replaced(self, name: str, ports: Ports, digest: str) -> "State":
        """Return these choices once a program was replaced by one with this digest and its own part of `ports`."""
        own = {port: getattr(ports, port) for port in PORTS_OF.get(name, ())}
        return replace(self, ports=replace(self.ports, **own), digests=self.digests | {name: digest})


_STATE = TypeAdapter(State)


class StateError(StackError):
    """The choices of the last `make up` cannot be read."""


def read(data_dir: Path) -> State | None:
    """Return the choices of the last `make up`; None before the first. Raise StateError."""
    path = data_dir / "stack.json"
    try:
        return _STATE.validate_json(path.read_bytes()) if path.exists() else None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged, or of another version"
        raise StateError(
            f"{path}, in which `make up` keeps the ports that it chose, cannot be read: {reason}. What runs runs on. "
            "Run `make down`, remove this file, set GATEWAY_PORT to the port that providers send to, and run "
            "`make up`: the data is kept."
        ) from error


def write(data_dir: Path, state: State) -> None:
    """Store the choices, so that a restart keeps them."""
    _replace(data_dir / "stack.json", TypeAdapter(dict[str, object]).dump_json(asdict(state), indent=2).decode() + "\n")


def choose_ports(before: Ports | None, asked: Mapping[str, int | None]) -> Ports:
    """Return the ports that settings name; for the others the previous ones, the usual ones or free ones.

    A remembered port of the gateway never moves, because providers send to it. Raise PortTakenError.
    """
    chosen = {name: port for name, port in asked.items() if port is not None}
    for name, port in chosen.items():
        require_free(name, port)
    if before and "gateway" not in chosen and not is_free(before.gateway):
        raise PortTakenError(
            f"port {before.gateway}, which the gateway of this DATA_DIR had before, is taken by "
            f"{holder(before.gateway)}; nothing was started, because providers may send to that port. Stop that "
            "program, or set GATEWAY_PORT to another one and configure it at the providers."
        )
    usual = Ports(REDIS_PORT, POSTGRES_PORT, GATEWAY_PORT, METRICS_PORT)
    wanted = {name: port if is_free(port) else getattr(usual, name) for name, port in asdict(before or usual).items()}
    for name, port in wanted.items():
        chosen.setdefault(name, usual_or_free(port, chosen.values()))
    return Ports(**chosen)


def ports_while_running(before: Ports, asked: Mapping[str, int | None]) -> Ports:
    """Return the ports of a running stack, those replaced that settings name now. Raise PortTakenError."""
    changed = {name: port for name, port in asked.items() if port is not None and port != getattr(before, name)}
    for name, port in changed.items():
        require_free(name, port)
    return replace(before, **changed)


def moved_ports(before: Ports, now: Ports) -> dict[str, int]:
    """Return the ports before of those addresses for metrics that have other ports now."""
    names = ("gateway_operators", "consumers_metrics")
    return {name: getattr(before, name) for name in names if getattr(before, name) != getattr(now, name)}


def require_free(name: str, port: int) -> None:
    """Raise PortTakenError if another program has the port that a setting names. Port 0 means none."""
    if port and name not in MAY_BE_TAKEN and not is_free(port):
        raise PortTakenError(
            f"port {port} ({name.upper()}_PORT) is taken by {holder(port)}; nothing was started or stopped. "
            f"Stop that program, or choose another {name.upper()}_PORT."
        )


def settings_digest(files: Iterable[Path], values: Iterable[str] = ()) -> str:
    """Return a digest of files and values, by which a changed setting is noticed."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(f"{len(value)} {value}".encode())
    for file in files:
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()


ADDRESSES = (
    "GATEWAY_URL",
    "GATEWAY_OPERATORS_URL",
    "CONSOLE_URL",
    "REDIS_URL",
    "DATABASE_URL",
    "MIGRATE_DATABASE_URL",
)
"""The names in stack.env. The last is the owner's address of the database; it is there only if the stack started it."""


def write_environment(data_dir: Path, environment: Mapping[str, str]) -> None:
    """Write `stack.env`: all addresses, with passwords, readable by its owner only."""
    lines = [f"{name}={_dotenv_quoted(environment[name])}\n" for name in ADDRESSES if name in environment]
    _replace(data_dir / "stack.env", "".join(lines))


def _dotenv_quoted(value: str) -> str:
    plain = value.replace("\\", "\\\\").replace("'", "\\'")
    return value if plain == value and not set(value) & set(" #\"'$") else f"'{plain}'"


def _replace(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
