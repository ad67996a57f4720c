"""Real servers for tests: Valkey (or Redis) and PostgreSQL, in folders of their own and on free ports."""

import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from runtime.redis_rights import GATEWAY, WORKERS, rules
from stack.ports import HOST, free_port
from stack.postgres import SUPERUSER, Postgres
from stack.valkey import Valkey
from tests.support.child import Child, dying_with_parent
from tests.support.wait import until, until_sync

REDIS_SERVER = os.environ.get("TEST_REDIS_SERVER")
POSTGRES_BIN = os.environ.get("TEST_POSTGRES_BIN")

START_TIMEOUT_S = 60.0
"""A server answers within a second; a busy machine or a recovery after a crash takes longer."""

PROBE_TIMEOUT_S = 1.0
"""How long one look at whether a server answers may take."""

OF_A_TEST = {"dynamic_shared_memory_type": "mmap", "shared_buffers": "128MB"}
"""A killed server leaves its files in its folder, not in the machine's shared memory for ever. Many run at a time."""

POSTGRES_IN_HASTE = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300",
    "max_wal_size": "128MB",
}  # fmt: skip
"""For the shared server, which nobody pulls the plug of: a crash of the process alone loses nothing anyway."""

MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 << 30
"""What must be free there: enough for the shared server of each test process."""


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where a database is copied ten times as fast; `otherwise` where there is not enough of it."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES_MIN:
        yield otherwise
        return
    with TemporaryDirectory(prefix="payment-webhooks-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def copy_folder(source: Path, target: Path) -> None:
    """Copies a server's data with its owners and rights."""
    subprocess.run(["cp", "-a", source, target], check=True)


class Server(ABC):
    """A server process with its data: it can be killed, frozen and started again on the same data and port."""

    url: str

    def __init__(self, name: str, folder: Path, signal_stop: signal.Signals) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.child = Child(name, folder / f"{name}.log", signal_stop)
        self.port = free_port()

    @property
    @abstractmethod
    def data_dir(self) -> Path:
        """Where all its data is."""

    @abstractmethod
    def argv(self) -> list[str]:
        """What is executed; it runs in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves now. Raises OSError where it does not even accept a connection."""

    def start(self) -> None:
        """Starts it and blocks until it serves."""
        self.child.launch(self.argv())
        until_sync(self._is_ready, timeout_s=START_TIMEOUT_S, what=f"{self.child.name} serves")

    async def restart(self) -> None:
        """Starts it again on the same data and port, stopping it first where it still runs; waits until it serves."""
        if self.child.is_running:
            self.child.stop()
        self.child.launch(self.argv())
        await until(self._is_ready, timeout_s=START_TIMEOUT_S, what=f"{self.child.name} serves")

    async def back_up(self, folder: Path) -> None:
        """Copies its data to a folder while it is stopped for a moment, and starts it again."""
        self.stop()
        shutil.rmtree(folder, ignore_errors=True)
        copy_folder(self.data_dir, folder)
        await self.restart()

    async def restore(self, folder: Path) -> None:
        """Ends it as a crash does, and starts it with the older data of the folder."""
        self.kill()
        shutil.rmtree(self.data_dir)
        copy_folder(folder, self.data_dir)
        await self.restart()

    def stop(self) -> None:
        """Ends it cleanly."""
        self.child.stop()

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()

    def pause(self) -> None:
        """Freezes it; clients wait."""
        self.child.pause()

    def resume(self) -> None:
        """Lets it go on."""
        self.child.resume()

    def _is_ready(self) -> bool:
        assert self.child.is_running, f"{self.child.name} ended while it started:\n{self.child.log}"
        try:
            return self.answers()
        except OSError:
            return False


PROGRAMS_PASSWORD = "of-a-program"
USERS = {name: rules(rights, "*", PROGRAMS_PASSWORD) for name, rights in (("gateway", GATEWAY), ("workers", WORKERS))}
"""The users of the programs, with the least rights that documentation promises to suffice."""


def as_user(name: str, redis_url: str) -> str:
    """The url for the program of this name; an url that names no password of ours stays as it is."""
    return re.sub(r"^(redis[+\w]*)://:[0-9a-f]{16}@", rf"\1://{name}:{PROGRAMS_PASSWORD}@", redis_url)


class ValkeyServer(Server):
    """Valkey as production has it: appendonly, appendfsync always, noeviction. `options` win over that."""

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None, *, password: str | None = None) -> None:
        super().__init__("valkey", folder, signal.SIGTERM)
        self.options = dict(options or {})
        binary = Path(REDIS_SERVER) if REDIS_SERVER else None
        password = password or secrets.token_hex(8)
        self._valkey = Valkey(folder / "data", self.port, password, binary, self.options, USERS)
        self.url = self._valkey.url()
        self.password = self._valkey.password

    @property
    def data_dir(self) -> Path:
        return self._valkey.data_dir

    def argv(self) -> list[str]:
        return dying_with_parent(self._valkey.command())

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), PROBE_TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            lines = connection.makefile("rb")
            return lines.readline() == b"+OK\r\n" and lines.readline() == b"+PONG\r\n"


class PostgresServer(Server):
    """PostgreSQL with one superuser. `options` are server settings; `embedded`: the wheel's, whatever is tested."""

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, str] | None = None,
        *,
        embedded: bool = False,
        password: str | None = None,
    ) -> None:
        super().__init__("postgres", folder, signal.SIGINT)
        bin_dir = Path(POSTGRES_BIN) if POSTGRES_BIN and not embedded else None
        password = password or secrets.token_hex(8)
        self.server = Postgres(folder / "data", self.port, password, bin_dir, OF_A_TEST | dict(options or {}))
        self.url = self.server.url()

    def copy(self, folder: Path) -> "PostgresServer":
        """Another one, with what this one holds now that it is stopped: made in a tenth of the time of a new one."""
        other = PostgresServer(folder, password=self.server.password)
        copy_folder(self.data_dir, other.data_dir)
        return other

    @property
    def data_dir(self) -> Path:
        return self.server.data_dir

    def argv(self) -> list[str]:
        self.server.initialise()
        # As another user than root it is started through setpriv, which clears what an outer setpriv asked for.
        command = self.server.command(death_signal="QUIT")
        return command if "--pdeathsig" in command else dying_with_parent(command, "QUIT")

    def database_url(self, database: str) -> str:
        return self.server.url(database)

    def answers(self) -> bool:
        """Asks to log in: a server that is ready asks for a password, one that starts or recovers sends an error."""
        parameters = f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
        with socket.create_connection((HOST, self.port), PROBE_TIMEOUT_S) as connection:
            connection.sendall(struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters)
            return connection.recv(1) == b"R"
