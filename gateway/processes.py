"""Several processes behind one listening socket: forked before any event loop, replaced when they die, stopped as one.

The parent only watches. A child notices its parent's death by the end of an inherited pipe, so that none is left alone.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

RESTART_BACKOFF_S = 1.0
"""How long a died child's place stays empty; doubled each time it dies again soon, up to the next."""

RESTART_BACKOFF_S_MAX = 30.0

HEALTHY_S = 60.0
"""A child that lived this long is replaced after the shortest backoff again."""

STOP_GRACE_S = 5.0
"""What children get beyond SHUTDOWN_TIMEOUT_S before they are killed."""

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
STOPS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


@dataclass(slots=True)
class _Place:
    """One of the N places: who is in it, and when it may be filled again."""

    pid: int = 0
    started_s: float = 0.0
    backoff_s: float = RESTART_BACKOFF_S
    due_s: float = 0.0


class Supervisor:
    """Keeps `count` children running `child(parent_pipe)`; `died(pid)` cleans up behind one that is gone."""

    def __init__(self, count: int, child: Callable[[int], int], died: Callable[[int], None], stop_s: float) -> None:
        self._places = [_Place() for _ in range(count)]
        self._child = child
        self._died = died
        self._stop_s = stop_s + STOP_GRACE_S
        self._pipe_read, self._pipe_write = os.pipe()

    def run(self) -> int:
        """Until SIGTERM or SIGINT. The exit code: 0 where every child ended by itself, with all in hand finished."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        while True:
            self._fill()
            received = signal.sigtimedwait(WATCHED, self._next_due_s())
            self._reap(stopping=False)
            if received is not None and received.si_signo in STOPS:
                return self._stop()

    def _fill(self) -> None:
        now_s = time.monotonic()
        for place in self._places:
            if not place.pid and place.due_s <= now_s:
                place.started_s = now_s
                place.pid = self._fork()

    def _fork(self) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 70  # what the shell calls an internal error
        try:
            os.close(self._pipe_write)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])  # the child takes STOPS when it is ready to
            code = self._child(self._pipe_read)
        except BaseException:  # the parent's code must not go on in here
            log.exception("a gateway process ended with an error; another takes its place")
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _reap(self, *, stopping: bool) -> list[int]:
        """The exit codes of the children that have ended since."""
        codes = []
        for place in self._places:
            if not place.pid:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if pid:
                codes.append(os.waitstatus_to_exitcode(status))
                self._left(place, codes[-1], stopping=stopping)
        return codes

    def _left(self, place: _Place, code: int, *, stopping: bool) -> None:
        self._died(place.pid)
        now_s = time.monotonic()
        short = now_s - place.started_s < HEALTHY_S
        wait_s = place.backoff_s if short else RESTART_BACKOFF_S
        if not stopping:
            log.error("a gateway process died; another takes its place", pid=place.pid, code=code, after_s=wait_s)
        place.pid = 0
        place.due_s = now_s + wait_s
        place.backoff_s = min(wait_s * 2, RESTART_BACKOFF_S_MAX)

    def _next_due_s(self) -> float:
        """How long nothing is to be done unless a signal comes."""
        due = [place.due_s for place in self._places if not place.pid]
        return max(0.0, min(due) - time.monotonic()) if due else HEALTHY_S

    def _stop(self) -> int:
        self._signal(signal.SIGTERM)
        deadline_s = time.monotonic() + self._stop_s
        codes = self._reap(stopping=True)
        while any(place.pid for place in self._places):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                log.error("gateway processes did not end in time; they are killed")
                self._signal(signal.SIGKILL)
                return 1
            signal.sigtimedwait([signal.SIGCHLD], min(left_s, 1.0))
            codes += self._reap(stopping=True)
        return 0 if not any(codes) else 1

    def _signal(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)
