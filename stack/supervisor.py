"""The process manager of the embedded stack: circus, told exactly what to execute, and respawning without spinning.

One per DATA_DIR, started by `make up`, told what to do over a socket in DATA_DIR that only its owner can reach.
"""

import logging
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from circus.arbiter import Arbiter
from circus.process import DEAD_OR_ZOMBIE, UNEXISTING, Process
from circus.watcher import Watcher
from tornado.ioloop import PeriodicCallback

from stack.control import CONTROL_ENDPOINT, EVENTS_ENDPOINT
from stack.lock import Lock
from stack.programs import ORDER, Program, launched, log_file

CHECK_DELAY_S = 0.5
"""How often dead processes are looked for."""

YOUNG_S = 10
"""A process that dies younger than this died of its start, and the next one waits."""

RESPAWN_DELAY_S_MAX = 30
"""The longest wait before the next attempt; there is always a next one."""

ROTATE_EVERY_S = 10

LOCK_PATIENCE_S = 5
"""Others hold the lock for a moment when they look whether a manager runs."""

Iterate = Callable[..., list[Watcher]]
"""How circus hands over which watchers to stop."""


class ExactProcess(Process):  # type: ignore[misc]  # circus has no types
    """Executes its arguments as they are; circus would replace `$(…)` in them."""

    def format_args(self, sockets_fds: object = None) -> list[str]:  # noqa: ARG002 -- circus calls it so
        """The argument vector."""
        return list(self.args)


class ProgramWatcher(Watcher):  # type: ignore[misc]  # circus has no types
    """Keeps one program running: at once when it dies after a while, or is killed while others of its kind live; later
    and later when it dies of its start.
    """

    _process_class = ExactProcess

    def __init__(self, program: Program, argv: list[str], working_dir: Path) -> None:
        super().__init__(
            program.name,
            program.name,
            args=argv,
            numprocesses=program.processes,
            working_dir=str(working_dir),
            env=dict(program.environment),
            stop_signal=program.stop_signal,
            graceful_timeout=program.stop_timeout_s,
            priority=-ORDER.index(program.name),
            autostart=not program.waits_for_servers,
            max_retry=1,
            restarts=0,
        )
        self.young_deaths = 0
        self.respawn_at = 0.0

    def reap_process(self, pid: int, status: int | None = None) -> None:
        """Circus calls this for each dead process; one that nobody stopped counts as a restart."""
        process = self.processes.get(pid)
        super().reap_process(pid, status)
        if process is None or process.stopping or self.is_stopping():
            return
        self._options["restarts"] += 1
        if not (was_killed(status) and self.processes):  # somebody killed one of several: its start was not to blame
            self._died(process.age())

    def manage_processes(self) -> Awaitable[None]:
        """Circus calls this at every check, and would forget uncounted who died since it looked for the dead."""
        for process in list(self.processes.values()):
            if process.status in (DEAD_OR_ZOMBIE, UNEXISTING) and not self.is_stopped():
                self.reap_process(process.pid, _wait_status(process.pid))
        managed: Awaitable[None] = super().manage_processes()
        return managed

    async def spawn_processes(self) -> None:
        """Starts what is missing, unless the last ones died of their start a moment ago."""
        if time.monotonic() >= self.respawn_at:
            await super().spawn_processes()

    def spawn_process(self, recovery_wid: int | None = None) -> object:
        """One process; a program that cannot even be executed is tried again later, never given up."""
        started = super().spawn_process(recovery_wid)
        if started is False:
            self._died(0)
            return time.time()
        return started

    def _died(self, age_s: float) -> None:
        self.young_deaths = self.young_deaths + 1 if age_s < YOUNG_S else 0
        self.respawn_at = time.monotonic() + respawn_delay_s(self.young_deaths)


class Supervisor(Arbiter):  # type: ignore[misc]  # circus has no types
    """Stops in the reverse of the order of starting, one after the other: the servers outlive those that need them."""

    async def _stop_watchers(
        self, close_output_streams: bool = False, watcher_iter_func: Iterate | None = None
    ) -> None:
        for watcher in (watcher_iter_func or self.iter_watchers)(reverse=False):
            await watcher._stop(close_output_streams)

    def manage_watchers(self) -> Awaitable[None] | None:
        """Circus calls this at every check; while a command is carried out it would be refused, loudly."""
        return None if self._exclusive_running_command else super().manage_watchers()


def _wait_status(pid: int) -> int | None:
    """How a dead process ended; None where that was asked before."""
    try:
        waited_for, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return status if waited_for else None


def was_killed(status: int | None) -> bool:
    """Whether a process, by its wait status, was ended by SIGKILL, as the system does where memory runs out."""
    return status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def respawn_delay_s(young_deaths: int) -> float:
    """0 for the first death of a start, then 1, 2, 4 … up to the limit."""
    return 0 if young_deaths < 2 else min(2.0 ** (young_deaths - 2), RESPAWN_DELAY_S_MAX)


def run(data_dir: Path, programs: list[Program], log_bytes_max: int) -> int:
    """Watches the programs until it is told to quit. Returns the exit code."""
    working_dir = Path.cwd()
    with Lock(data_dir / "supervisor.pid", LOCK_PATIENCE_S) as lock:
        if not lock.held:
            return 1
        lock.sign()
        _log_to(log_file(data_dir, "supervisor"), log_bytes_max)
        # Unix socket paths are limited to about 107 bytes, so the sockets have short names relative to DATA_DIR.
        os.chdir(data_dir)
        watchers = [ProgramWatcher(program, _argv(program, data_dir), working_dir) for program in programs]
        supervisor = Supervisor(watchers, CONTROL_ENDPOINT, EVENTS_ENDPOINT, check_delay=CHECK_DELAY_S, umask=0o077)
        logs = [log_file(data_dir, program.name) for program in programs]
        PeriodicCallback(lambda: rotate(logs, log_bytes_max), ROTATE_EVERY_S * 1000).start()
        PeriodicCallback(lambda: _quit_without_folder(lock), CHECK_DELAY_S * 1000).start()
        supervisor.start()
    return 0


def rotate(logs: list[Path], bytes_max: int) -> None:
    """Copies a log above the limit to `.1` and empties it. The writers append, so that they need not reopen it."""
    for log in logs:
        if log.exists() and log.stat().st_size > bytes_max:
            shutil.copy2(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def _quit_without_folder(lock: Lock) -> None:
    """Whoever deletes DATA_DIR under a running stack gets no servers that write into the next one of that name."""
    if not lock.is_there():
        os.kill(os.getpid(), signal.SIGTERM)


def _argv(program: Program, data_dir: Path) -> list[str]:
    return launched(log_file(data_dir, program.name), program.stop_signal, program.argv)


def _log_to(path: Path, bytes_max: int) -> None:
    handler = RotatingFileHandler(path, maxBytes=bytes_max, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("circus")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
