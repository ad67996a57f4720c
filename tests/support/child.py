"""A process that a test starts, stops, kills and freezes, by its pid only. It dies with the test process."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.wait import until_sync

STOP_TIMEOUT_S = 30.0
"""How long a process may take to end after a polite signal."""

LOG_CHARS_MAX = 20_000
"""How much of a log is shown when a test fails."""


class Child:
    """One process with its output in a file. `signal_stop` is the polite signal."""

    def __init__(self, name: str, log: Path, signal_stop: signal.Signals = signal.SIGTERM) -> None:
        self.name = name
        self._log = log
        self._signal_stop = signal_stop
        self._process: subprocess.Popen[bytes] | None = None
        self.is_paused = False

    def launch(self, argv: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Starts it and returns at once."""
        assert not self.is_running, f"{self.name} runs already"
        self.is_paused = False
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                argv, env=None if env is None else dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-LOG_CHARS_MAX:] if self._log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Its exit code, once it has ended. The log is in the failure where it does not."""
        assert self._process
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout_s} s:\n{self.log}") from None

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Asks it to end and waits. Returns the exit code; that of an earlier end if it is over already."""
        if self.is_running:
            self.resume()
            self.signal(self._signal_stop)
        return self.wait(timeout_s)

    async def stopped(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The same while the event loop goes on."""
        return await asyncio.to_thread(self.stop, timeout_s)

    def kill(self) -> None:
        """SIGKILL, to it and to all it has started, as when the machine dies."""
        if self._process is None:
            return
        for pid in reversed(self._family()):
            _send(pid, signal.SIGKILL)
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP, to it and to all it has started: it hangs, its sockets stay open."""
        self.is_paused = True
        for pid in self._family():
            _send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on, not knowing that time has passed."""
        self.is_paused = False
        for pid in self._family():
            _send(pid, signal.SIGCONT)

    @property
    def children(self) -> list[int]:
        """The processes it has started and that still run."""
        return _children(self.pid) if self.is_running else []

    def kill_child(self, pid: int) -> None:
        """SIGKILL to one of them alone."""
        assert pid in self.children
        _send(pid, signal.SIGKILL)

    def _family(self) -> list[int]:
        if not self.is_running:
            return []
        family = [self.pid]
        for pid in family:
            family += _children(pid)
        return family


def dying_with_parent(argv: list[str], death_signal: str = "KILL") -> list[str]:
    """`argv`, so that the kernel ends it when the test process is gone, where the system can do that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", death_signal, *argv] if setpriv else argv


def _children(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children")
    try:
        return [int(pid) for pid in children.read_text().split()]
    except FileNotFoundError:  # It has ended meanwhile.
        return []


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # It has ended meanwhile, which is what the caller wanted or will notice.


def gone(pid: int, what: str) -> None:
    """Waits until no such process is left."""
    until_sync(lambda: not Path(f"/proc/{pid}").exists(), what=f"{what} ({pid}) has ended")
