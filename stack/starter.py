"""What the next process of a program is started as, which may change while others run.

The listening socket is the manager's: a process inherits it, so that no connection is refused while one process
replaces another. Which processes are ready is known from their notices (runtime/process_manager.py).
"""

import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from circus.watcher import Watcher

from stack.launch import LISTEN_FD, START_DELAY
from stack.programs import Program, launched, log_file

NOTICE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Pool:
    """The processes of a program at one time, and how many of them were wanted."""

    pids: frozenset[int]
    wanted: int


class Starter:
    """The definition of one program. Until a new one is confirmed, the one before can be restored."""

    def __init__(self, program: Program, data_dir: Path, notices: "Notices") -> None:
        self._data_dir = data_dir
        self._notices = notices
        self.program = program
        self._before: tuple[Program, socket.socket | None, Pool] | None = None
        self._listening: socket.socket | None = None

    def define(self, program: Program, pool: Pool) -> None:
        """Start the next processes like this. Raise OSError if its address cannot be listened on.

        `pool` are the processes now, which a revert leaves.
        """
        before = self.program, self._listening, pool
        if program.listens != self.program.listens:
            self._listening = _bound(*program.listens) if program.listens else None
        self.program = program
        self._before = before

    def confirm(self) -> None:
        """Forget the definition before, and stop listening where only that one did."""
        listened = self._before[1] if self._before else None
        if listened is not None and listened is not self._listening:
            listened.close()
        self._before = None

    def revert(self) -> Pool | None:
        """Start the next processes as before the last `define`. Return the processes of then."""
        if self._before is None:
            return None
        if self._listening and self._listening is not self._before[1]:
            self._listening.close()
        self.program, self._listening, pool = self._before
        self._before = None
        return pool

    def prepare(self, watcher: Watcher) -> None:
        """Set what the watcher's next process is started with."""
        program = self.program
        watcher.args = launched(log_file(self._data_dir, program.name), program.stop_signal, program.argv)[1:]
        watcher.env = dict(program.environment)
        watcher.graceful_timeout = program.stop_timeout_s
        watcher.env[START_DELAY] = "0"
        if program.waits_for_servers:
            watcher.env["NOTIFY_SOCKET"] = self._notices.path
        if program.listens:
            self._listening = self._listening or _bound(*program.listens)
            watcher.env[LISTEN_FD] = str(self._listening.fileno())

    def release(self) -> None:
        """Stop listening, because the program is stopped."""
        if self._listening:
            self._listening.close()
        self._listening = None


class Notices:
    """The socket on which programs report that they are ready, in a folder of its own: such a path must be short."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="payments-")
        self.path = str(Path(self._folder.name) / "ready")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        self.ready: list[int] = []
        """The main processes that are ready, or were: pids. A list because circus reports it as it is."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with a notice."""
        return self._socket.fileno()

    def read(self) -> None:
        """Remember who is ready."""
        lines = self._socket.recv(NOTICE_BYTES_MAX).decode(errors="replace").splitlines()
        pids = [line.removeprefix("MAINPID=") for line in lines if line.startswith("MAINPID=")]
        if "READY=1" in lines:
            self.ready += [int(pid) for pid in pids if pid.isdecimal()]

    def forget(self, pid: int) -> None:
        """Forget a process that is started: its pid may be that of an earlier one."""
        self.ready[:] = [each for each in self.ready if each != pid]

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close()
        self._folder.cleanup()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket of this address for processes to inherit. They call listen()."""
    family, kind, protocol, _, resolved = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(resolved)
    except OSError:
        bound.close()
        raise
    os.set_inheritable(bound.fileno(), True)
    return bound
