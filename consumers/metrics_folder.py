"""The folder in which all workers of a host count together, so that each answers /metrics for all of them.

prometheus_client's multiprocess mode names a process's files after its id, and expects a parent process to report the
dead and to wipe the folder. Workers have no parent in common, and their ids change with every restart. So a worker
names its files after the lowest free number, by the library's `MultiProcessValue`, and holds a lock on
`<number>.alive` while it lives. A number whose lock is free is dead: its gauges are removed, and its counters stay for
the next worker that takes the number. The folder grows with the workers that run at once, not with those that ever ran.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

LOCK_TIMEOUT_S = 1.0
"""How long to wait for another worker that joins or reads the folder."""

LOCK_POLL_S = 0.01

TURN_SHARE = 0.8
"""The share of its period after which a turn may be taken again: the same worker comes back a little early."""


class FolderBusyError(Exception):
    """Another worker holds the folder for longer than LOCK_TIMEOUT_S: it may be frozen."""


class MetricsFolder:
    """The shared folder, as one worker uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._alive: IO[str] | None = None

    @contextmanager
    def joining(self) -> Iterator[None]:
        """Take a number, and hold the folder while the worker makes its metrics, so that nobody reads half a file.

        If a frozen worker holds the folder, the worker joins without: nobody reads it then.
        """
        with ExitStack() as held:
            with suppress(FolderBusyError):
                held.enter_context(self._held())
            number = self._take_number()
            mark_process_dead(number, str(self._path))  # type: ignore[no-untyped-call]
            values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
            yield

    def render(self) -> bytes:
        """Return the metrics of all workers, as Prometheus reads them. Raises FolderBusyError."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._path))  # type: ignore[no-untyped-call]
        with self._held():
            self._forget_the_dead()
            return generate_latest(registry)

    def takes_turn(self, what: str, every_s: float) -> bool:
        """Return whether it is time, and this worker is the first to notice. Two may be, where they ask at once.

        A file's time is enough: a worker that dies or freezes after its turn holds nobody up.
        """
        turn = self._path / f"{what}.turn"
        with suppress(FileNotFoundError):
            if 0 <= time.time() - turn.stat().st_mtime < every_s * TURN_SHARE:
                return False
        turn.touch()
        return True

    def _take_number(self) -> int:
        number = 1
        while not _try_lock(alive := (self._path / f"{number}.alive").open("w")):
            alive.close()
            number += 1
        self._alive = alive  # kept open, because the lock lasts as long as the file is open
        return number

    def _forget_the_dead(self) -> None:
        for alive in self._path.glob("*.alive"):
            with alive.open() as file:
                if _try_lock(file):
                    mark_process_dead(int(alive.stem), str(self._path))  # type: ignore[no-untyped-call]
                    _remove_empty(self._path.glob(f"*_{alive.stem}.db"))

    @contextmanager
    def _held(self) -> Iterator[None]:
        with (self._path / "folder.lock").open("w") as lock:
            deadline = time.monotonic() + LOCK_TIMEOUT_S
            while not _try_lock(lock):
                if time.monotonic() >= deadline:
                    raise FolderBusyError(
                        f"the metrics folder was held by another worker for {LOCK_TIMEOUT_S} s; ask again, or see "
                        "whether a worker is frozen"
                    )
                time.sleep(LOCK_POLL_S)
            yield


def _remove_empty(files: Iterator[Path]) -> None:
    """Remove files whose worker was killed just after it had made them: the library cannot read those."""
    for file in files:
        if file.stat().st_size == 0:
            file.unlink()


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
