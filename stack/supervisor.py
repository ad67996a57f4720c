"""The process manager of the embedded stack: circus, with a growing delay before the restart of a failing program.

One manager per DATA_DIR, started by `make up` and controlled over a socket in DATA_DIR that only its owner can reach.
"""

import logging
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from circus.exc import ConflictError
from circus.watcher import Watcher
from tornado.ioloop import IOLoop, PeriodicCallback

from stack.control import CONTROL_ENDPOINT, EVENTS_ENDPOINT
from stack.define import Manager
from stack.launch import START_DELAY
from stack.lock import Lock
from stack.programs import ORDER, Program, log_file
from stack.starter import Notices, Starter

CHECK_DELAY_S = 0.5
"""How often dead processes are looked for."""

START_UP_S = 10
"""A process that dies younger than this failed to start, and its next start is delayed."""

START_DELAY_S_MAX = 30
"""The longest delay before the next start. Restarting never ends."""

ROTATE_EVERY_S = 10

LOCK_PATIENCE_S = 5
"""Other commands hold the lock for an instant while they check whether a manager runs."""

Hook = Callable[..., bool]


class Restarts:
    """The restarts of one program, counted by circus' hooks: its processes that ended without having been stopped."""

    def __init__(self) -> None:
        self.count = [0]
        """One number, in a list because circus reports an option as the object it was given."""
        self._failed_starts = 0
        self._next_start = 0.0
        self._started: dict[int, float] = {}

    def hooks(self) -> dict[str, tuple[Hook, bool]]:
        """Return the hooks as a watcher of circus takes them."""
        return {hook.__name__: (hook, False) for hook in (
            self.before_spawn, self.after_spawn, self.before_signal, self.after_reap,
        )}  # fmt: skip

    def before_spawn(self, watcher: Watcher, **_: object) -> bool:
        """Set the start delay of the next process; launch.py waits that long."""
        # Circus reaps without its hook what dies between its two looks at the processes.
        for pid in self._started.keys() - watcher.processes.keys():
            self._ended(pid, exit_code=None, others_run=bool(watcher.processes))
        watcher.env[START_DELAY] = str(max(0.0, self._next_start - time.monotonic()))
        return True

    def after_spawn(self, pid: int, **_: object) -> bool:
        """Remember when the process starts."""
        self._started[pid] = max(time.monotonic(), self._next_start)
        return True

    def before_signal(self, pid: int, **_: object) -> bool:
        """Forget a process that circus stops: its end is no restart."""
        self._started.pop(pid, None)
        return True

    def after_reap(self, watcher: Watcher, process_pid: int, exit_code: int | None, **_: object) -> bool:
        """Count a process that has ended."""
        self._ended(process_pid, exit_code, others_run=bool(watcher.processes))
        return True

    def _ended(self, pid: int, exit_code: int | None, others_run: bool) -> None:
        started = self._started.pop(pid, None)
        if started is None:
            return
        now = time.monotonic()
        self.count[0] += 1
        if failed_to_start(now - started, exit_code, others_run):
            self._failed_starts += 1
        elif now - started >= START_UP_S:
            self._failed_starts = 0
        self._next_start = now + start_delay_s(self._failed_starts)


def failed_to_start(age_s: float, exit_code: int | None, others_run: bool) -> bool:
    """Return whether a process of this age failed to start. A SIGKILL while others of its program run is no failure."""
    was_killed = exit_code == -signal.SIGKILL and others_run
    return age_s < START_UP_S and not was_killed


def start_delay_s(failed_starts: int) -> float:
    """Return 0 after the first failed start, then 1, 2, 4 … up to the limit."""
    return 0 if failed_starts < 2 else min(2.0 ** (failed_starts - 2), START_DELAY_S_MAX)


def run(data_dir: Path, programs: list[Program], log_bytes_max: int) -> int:
    """Run the programs until a command or a signal ends the manager. Return the exit code."""
    working_dir = Path.cwd()
    with Lock(data_dir / "supervisor.pid", LOCK_PATIENCE_S) as lock:
        if not lock.held:
            return 1
        lock.write_pid()
        _log_to(log_file(data_dir, "supervisor"), log_bytes_max)
        # Unix socket paths are limited to about 107 bytes, so the sockets have short names relative to DATA_DIR.
        os.chdir(data_dir)
        notices = Notices()
        starters = {program.name: Starter(program, data_dir, notices) for program in programs}
        watchers = [_watcher(starter, notices, working_dir) for starter in starters.values()]
        arbiter = Manager(watchers, CONTROL_ENDPOINT, EVENTS_ENDPOINT, check_delay=CHECK_DELAY_S, umask=0o077)
        arbiter.starters = starters
        IOLoop.current().add_handler(notices.fileno(), lambda *_: notices.read(), IOLoop.READ)
        logs = [log_file(data_dir, program.name) for program in programs]
        PeriodicCallback(lambda: rotate(logs, log_bytes_max), ROTATE_EVERY_S * 1000).start()
        PeriodicCallback(lambda: _quit_without_folder(lock), CHECK_DELAY_S * 1000).start()
        try:
            arbiter.start()
        finally:
            notices.close()
    return 0


def _watcher(starter: Starter, notices: Notices, working_dir: Path) -> Watcher:
    restarts, program = Restarts(), starter.program

    def before_spawn(watcher: Watcher, **_: object) -> bool:
        starter.prepare(watcher)
        return restarts.before_spawn(watcher)

    def after_spawn(pid: int, **_: object) -> bool:
        notices.forget(pid)
        return restarts.after_spawn(pid)

    def before_stop(**_: object) -> bool:
        starter.release()
        return True

    ours: dict[str, Hook] = {"before_spawn": before_spawn, "after_spawn": after_spawn, "before_stop": before_stop}
    return Watcher(
        program.name,
        shlex.quote(sys.executable),
        numprocesses=program.processes,
        working_dir=str(working_dir),
        env={},
        use_sockets=program.listens is not None,
        stop_signal=program.stop_signal,
        graceful_timeout=program.stop_timeout_s,
        priority=-ORDER.index(program.name),
        autostart=not program.waits_for_servers,
        hooks=restarts.hooks() | {name: (hook, False) for name, hook in ours.items()},
        restarts=restarts.count,
        ready=notices.ready,
    )


def rotate(logs: list[Path], bytes_max: int) -> None:
    """Copy a log above the limit to `.1` and empty it. The writers append, so they need not reopen it."""
    for log in logs:
        if log.exists() and log.stat().st_size > bytes_max:
            shutil.copy2(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def _quit_without_folder(lock: Lock) -> None:
    """Stop when DATA_DIR was deleted or replaced, so that no server writes into the next folder of that name."""
    if not lock.is_there():
        os.kill(os.getpid(), signal.SIGTERM)


def _log_to(path: Path, bytes_max: int) -> None:
    handler = RotatingFileHandler(path, maxBytes=bytes_max, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("circus")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # Circus skips its check of the processes while a command runs, and logs that each time with a traceback.
    logging.getLogger("tornado.application").addFilter(_is_no_conflict)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _is_no_conflict(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], ConflictError)
