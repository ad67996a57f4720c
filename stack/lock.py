"""A pid file whose owner holds a lock on it, so that a file left by a dead process is recognised."""

import fcntl
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PAUSE_S = 0.05
"""Between two attempts: flock has no time-out."""


class Lock:
    """`with Lock(path) as lock: if lock.held: …`. Waits for at most `patience_s`."""

    def __init__(self, path: Path, patience_s: float = 0) -> None:
        self._path = path
        self._patience_s = patience_s
        self._file = -1
        self.held = False

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + self._patience_s
        self.held = self._try()
        while not self.held and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
            self.held = self._try()
        return self

    def write_pid(self) -> None:
        """Write our pid into the file, for those who find it locked."""
        os.truncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def is_there(self) -> bool:
        """Return whether the path still names the file we hold, and not that of a folder created anew."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(self._file)
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self.held = False


def owner(path: Path) -> int | None:
    """Return the pid of the process that holds the lock, 0 if the file does not say it; None if none does."""
    if not path.exists():
        return None
    with Lock(path) as lock:
        if lock.held:
            return None
    text = path.read_text(errors="replace")
    return int(text) if text.isdecimal() else 0


def starting_lock() -> Path:
    """Return the lock that is held from choosing ports until all are bound, so that no two stacks choose the same."""
    return Path(tempfile.gettempdir()) / f"payment-webhooks-starting-{os.getuid()}.lock"
