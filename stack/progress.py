"""Says what a command waits for, so that it is never silent for long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stack import show

SILENCE_S = 8.0
"""After so long, what is waited for is printed, again and again."""


class Progress:
    """What is waited for now. Says nothing unless `reported` is entered, because JSON must stay JSON."""

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_s = silence_s
        self._step = ""

    def step(self, text: str) -> None:
        """Note what is waited for from now on."""
        self._step = text

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Print the present step as long as the block lasts."""
        self._step = ""
        ended = threading.Event()
        thread = threading.Thread(target=self._report, args=(ended, time.monotonic()), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _report(self, ended: threading.Event, start: float) -> None:
        while not ended.wait(self._silence_s):
            if self._step:
                show.say(f"  {time.monotonic() - start:.0f} s: {self._step} …")


PROGRESS = Progress()
"""That of this process, which runs one command."""
