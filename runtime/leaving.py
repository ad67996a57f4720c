"""How a program ends when it is asked to: in time, whatever hangs, and at once when it is asked again.

An end that takes as long as its slowest part has no limit: a driver waits for a goodbye that a dead network never
delivers, Python for the threads of `asyncio.to_thread`. So a thread ends the process once its time is over.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import structlog

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

LEAVE_S = 5.0
"""How long a program may take, beyond its time to drain, to give back what it holds. Past it, it ends without."""

REPORT_S = 0.5
"""How long the report of such an end may take: what reads the log may hang too."""

SIGNALLED = 128
"""What a shell adds to a signal's number, for the exit code of a process that it ended."""

log = structlog.get_logger()


class Leaving:
    """The end of this process. `stop` is called in its event loop, `drain_s` is how long finishing its work may take.

    `exit_code` is that of a process that did not end in time.
    """

    def __init__(self, stop: Callable[[], object], drain_s: float, *, exit_code: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = stop
        self._limit_s = drain_s + LEAVE_S
        self._exit_code = exit_code
        self._began = threading.Event()
        self.has_begun = False
        """Whether the process was asked to end."""

    def on_signals(self, *, again_ends: bool = True) -> None:
        """Begin at the first SIGTERM or SIGINT; `again_ends`: the second one ends the process at once.

        Python's own handlers run within most calls that block the event loop; those of the loop wait for their end.
        """

        def begin(_number: int, _frame: FrameType | None) -> None:
            if again_ends:
                end_at_once_on_signals()
            self.begin()

        threading.Thread(target=self._end_in_time, name="end in time", daemon=True).start()
        for number in STOP_SIGNALS:
            signal.signal(number, begin)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # what started this process may have blocked them

    def begin(self) -> None:
        """Stop the program, and end the process should that take too long."""
        if self.has_begun:
            return
        self.has_begun = True
        self._began.set()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _end_in_time(self) -> None:
        self._began.wait()
        time.sleep(self._limit_s)
        try:
            reporting = threading.Thread(target=self._report, daemon=True)
            reporting.start()
            reporting.join(REPORT_S)
        finally:
            os._exit(self._exit_code)

    def _report(self) -> None:
        log.warning("not ended in time; the process ends without giving back what it holds, which expires by itself",
                    limit_s=self._limit_s)  # fmt: skip


def end_at_once_on_signals() -> None:
    """End this process at SIGTERM or SIGINT, with the exit code of a shell. The first process of a container, as which
    a program may run, would ignore a signal that it does not handle.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        os._exit(SIGNALLED + number)

    for each in STOP_SIGNALS:
        signal.signal(each, end)
