"""What the stack chose and keeps in DATA_DIR: its kind and ports for itself, `stack.env` for every other tool."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from stack.ports import PortTakenError, is_free, usual_or_free

Kind = Literal["compose", "embedded"]

REDIS_PORT = 6379
POSTGRES_PORT = 5432
GATEWAY_PORT = 8080
METRICS_PORT = 9100


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens; a port of a server that is not ours is chosen too, and not used."""

    redis: int
    postgres: int
    gateway: int
    consumers_metrics: int


@dataclass(frozen=True, slots=True)
class State:
    """What was chosen at the last `make up`."""

    kind: Kind
    ports: Ports
    settings_digest: str = ""


_STATE = TypeAdapter(State)


def read(data_dir: Path) -> State | None:
    """What the last `make up` chose; None where there was none."""
    path = data_dir / "stack.json"
    return _STATE.validate_json(path.read_bytes()) if path.exists() else None


def write(data_dir: Path, state: State) -> None:
    """Remembers the choice, so that a restart keeps it."""
    _replace(data_dir / "stack.json", TypeAdapter(dict[str, object]).dump_json(asdict(state), indent=2).decode() + "\n")


def choose_ports(before: Ports | None, asked: Mapping[str, int | None]) -> Ports:
    """The ports that are asked for by name, else those of before where they are free again, the usual, or free ones."""
    chosen = {name: port for name, port in asked.items() if port is not None}
    for name, port in chosen.items():
        if port and not is_free(port):
            raise PortTakenError(
                f"port {port} ({name.upper()}_PORT) is taken by another program; nothing was started. "
                f"Stop that program, or choose another {name.upper()}_PORT."
            )
    usual = Ports(REDIS_PORT, POSTGRES_PORT, GATEWAY_PORT, METRICS_PORT)
    wanted = {name: port if is_free(port) else getattr(usual, name) for name, port in asdict(before or usual).items()}
    for name, port in wanted.items():
        chosen.setdefault(name, usual_or_free(port, chosen.values()))
    return Ports(**chosen)


def settings_digest(files: Iterable[Path], values: Iterable[str] = ()) -> str:
    """Differs when one of these files or values does: what runs was started with the old ones."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(f"{len(value)} {value}".encode())
    for file in files:
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def write_environment(data_dir: Path, gateway_url: str, redis_url: str, database_url: str) -> None:
    """`stack.env`: where everything is, with the passwords, readable by its owner only."""
    values = {"GATEWAY_URL": gateway_url, "REDIS_URL": redis_url, "DATABASE_URL": database_url}
    _replace(data_dir / "stack.env", "".join(f"{name}={_dotenv_quoted(value)}\n" for name, value in values.items()))


def _dotenv_quoted(value: str) -> str:
    plain = value.replace("\\", "\\\\").replace("'", "\\'")
    return value if plain == value and not set(value) & set(" #\"'$") else f"'{plain}'"


def _replace(path: Path, text: str) -> None:
    """Writes a file that is there whole or not at all, readable by its owner only."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
