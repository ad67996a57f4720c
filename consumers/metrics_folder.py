"""The files by which all workers of a host count together, where PROMETHEUS_MULTIPROC_DIR is set.

Each worker writes its own. Beside them it keeps `<pid>.alive` locked for as long as it lives, so that whoever is asked
for the metrics can tell the dead by a lock that is free. The gauges of a dead worker vanish then, and what it
counted is added to one file for all who ended: the folder grows with the workers that run, not with those that ran.
"""

import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

LOCK_TIMEOUT_S = 1.0
"""How long to wait for another worker that tidies or reads the folder."""

LOCK_POLL_S = 0.01

_SUMMED = ("counter", "histogram")
"""The kinds of files whose numbers outlive their worker."""


class FolderBusyError(Exception):
    """Another worker holds the folder for longer than LOCK_TIMEOUT_S: it may be frozen."""


class WorkerFiles:
    """One worker's place in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def joining(self) -> Iterator[None]:
        """Makes this worker known as alive, and holds the folder while it makes its files: nobody reads half of one.

        Where a frozen worker holds the folder it is joined without: nobody reads then.
        """
        with ExitStack() as held:
            with suppress(FolderBusyError):
                held.enter_context(self.tidied())
            self._alive = (self._folder / f"{os.getpid()}.alive").open("w")
            fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    @contextmanager
    def tidied(self) -> Iterator[None]:
        """Holds the folder still, without any dead worker's files in it. Raises FolderBusyError."""
        with (self._folder / "folder.lock").open("w") as lock:
            _acquire(lock.fileno())
            for alive in self._folder.glob("*.alive"):
                if _is_free(alive):
                    self._bury(alive)
            yield

    def _bury(self, alive: Path) -> None:
        for kind in _SUMMED:
            own = self._folder / f"{kind}_{alive.stem}.db"
            if own.exists():
                self._add_to_ended(kind, own)
        mark_process_dead(int(alive.stem), str(self._folder))  # type: ignore[no-untyped-call]
        alive.unlink()

    def _add_to_ended(self, kind: str, own: Path) -> None:
        ended = self._folder / f"{kind}_ended.db"
        sums: dict[str, float] = defaultdict(float)
        for path in (ended, own):
            for key, value in _read(path):
                sums[key] += value
        draft = ended.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        _write(draft, sums)
        draft.replace(ended)
        own.unlink()


def _read(path: Path) -> list[tuple[str, float]]:
    # Empty: its worker was killed while it made the file.
    if not path.exists() or path.stat().st_size == 0:
        return []
    rows = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return [(key, value) for key, value, _timestamp, _position in rows]


def _write(path: Path, sums: Mapping[str, float]) -> None:
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        file.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def _acquire(lock: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while not _try_lock(lock):
        if time.monotonic() >= deadline:
            raise FolderBusyError(
                f"the metrics folder was held by another worker for {LOCK_TIMEOUT_S} s; ask again, or see whether a "
                "worker is frozen"
            )
        time.sleep(LOCK_POLL_S)


def _is_free(alive: Path) -> bool:
    with alive.open("r") as file:
        return _try_lock(file.fileno())


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
