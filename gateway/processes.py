"""Several processes that share one listening socket: started again when they die, stopped together.

The processes are the standard library's (`multiprocessing`); what is ours is when to start another and how to stop all.
No library does that here: gunicorn's aiohttp worker takes over limits, TLS and the stop, circus would be a
second supervisor inside the one of the stack or the container, and sockets of their own (SO_REUSEPORT) would reset
connections that wait at a dying process.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkProcess

import structlog

from runtime.leaving import LEAVE_S, STOP_SIGNALS

RESTART_BACKOFF_S = 1.0
"""Time before a dead process is replaced; doubled each time it dies again soon, up to the next."""

RESTART_BACKOFF_S_MAX = 30.0

HEALTHY_S = 60.0
"""A process that lived this long is replaced after the shortest backoff again."""

_WATCHED = (*STOP_SIGNALS, signal.SIGCHLD)

log = structlog.get_logger()


@dataclass(slots=True)
class _Slot:
    """One of the N processes, and when it may be started again."""

    process: ForkProcess | None = None
    started_s: float = 0.0
    backoff_s: float = RESTART_BACKOFF_S
    due_s: float = 0.0


class Supervisor:
    """Keeps `count` processes running `child(parent_pipe)`; `on_exit(pid)` cleans up after each that has ended.

    `parent_pipe` can be read once the parent is gone, so that no process is left alone.
    """

    def __init__(self, count: int, child: Callable[[int], int], on_exit: Callable[[int], None], stop_s: float) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._child = child
        self._on_exit = on_exit
        self._stop_s = stop_s + LEAVE_S
        self._pipe_read, self._pipe_write = os.pipe()

    def run(self) -> int:
        """Run until SIGTERM or SIGINT. Return 0 where every process has ended by itself without an error, else 1."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            while True:
                self._start_due()
                received = signal.sigtimedwait(_WATCHED, self._next_due_s())
                self._collect(is_stopping=False)
                if received is not None and received.si_signo in STOP_SIGNALS:
                    return self._stop()
        finally:
            os.close(self._pipe_write)  # the processes end then; at exit multiprocessing waits for them

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for slot in self._slots:
            if slot.process is None and slot.due_s <= now_s:
                slot.started_s = now_s
                slot.process = multiprocessing.get_context("fork").Process(target=self._run_child)
                slot.process.start()

    def _run_child(self) -> None:
        os.close(self._pipe_write)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])  # the child unblocks STOP_SIGNALS when it is ready
        try:
            code = self._child(self._pipe_read)
        except Exception:
            log.exception("a gateway process ends with an error; another takes its place")
            code = os.EX_SOFTWARE
        sys.exit(code)

    def _collect(self, *, is_stopping: bool) -> list[int]:
        """Return the exit codes of the processes that have ended since the last call."""
        codes = []
        for slot in self._slots:
            if slot.process is not None and slot.process.exitcode is not None:
                codes.append(slot.process.exitcode)
                self._ended(slot, slot.process, is_stopping=is_stopping)
        return codes

    def _ended(self, slot: _Slot, process: ForkProcess, *, is_stopping: bool) -> None:
        self._on_exit(process.pid or 0)
        now_s = time.monotonic()
        wait_s = slot.backoff_s if now_s - slot.started_s < HEALTHY_S else RESTART_BACKOFF_S
        if not is_stopping:
            log.error(
                "a gateway process died; another takes its place",
                pid=process.pid, code=process.exitcode, after_s=wait_s,
            )  # fmt: skip
        process.close()
        slot.process = None
        slot.due_s = now_s + wait_s
        slot.backoff_s = min(wait_s * 2, RESTART_BACKOFF_S_MAX)

    def _next_due_s(self) -> float:
        """Return how long nothing needs to be done unless a signal comes."""
        due = [slot.due_s for slot in self._slots if slot.process is None]
        return max(0.0, min(due) - time.monotonic()) if due else HEALTHY_S

    def _stop(self) -> int:
        for process in self._running():
            process.terminate()
        deadline_s = time.monotonic() + self._stop_s
        codes = self._collect(is_stopping=True)
        while self._running():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return self._kill("gateway processes did not end in time; they are killed")
            received = signal.sigtimedwait(_WATCHED, min(left_s, 1.0))
            if received is not None and received.si_signo in STOP_SIGNALS:
                return self._kill("asked to stop once more; the gateway processes are killed")
            codes += self._collect(is_stopping=True)
        return 1 if any(codes) else 0

    def _kill(self, reason: str) -> int:
        log.error(reason)
        for process in self._running():
            process.kill()
        return 1

    def _running(self) -> list[ForkProcess]:
        return [slot.process for slot in self._slots if slot.process is not None]
