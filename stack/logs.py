"""`make logs`: the log lines of every program, each with the program's name."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

PAUSE_S = 0.2
"""Between two checks of the files."""

LINES = 20
"""How many past lines of each program are shown."""

CHUNK_BYTES_MAX = 1_000_000
"""How much of one log is read at once."""


def show(logs: list[Path], out: TextIO, follow: bool, lines: int = LINES) -> None:
    """Print the last lines of each log and, with `follow`, every line that is added, until interrupted."""
    width = max((len(log.stem) for log in logs), default=0)
    positions: dict[Path, int] = {}
    for log in logs:
        text = log.read_bytes() if log.exists() else b""
        positions[log] = len(text)
        _write(out, log.stem.ljust(width), text.decode(errors="replace").splitlines()[-lines:])
    while follow:
        for log in logs:
            _write(out, log.stem.ljust(width), list(added(log, positions)))
        time.sleep(PAUSE_S)


def added(log: Path, positions: dict[Path, int]) -> Iterator[str]:
    """Return the whole lines added since the last call. A log that became shorter was rotated and starts anew."""
    size = log.stat().st_size if log.exists() else 0
    if size < positions[log]:
        positions[log] = 0
    if size == positions[log]:
        return
    with log.open("rb") as file:
        file.seek(positions[log])
        text = file.read(CHUNK_BYTES_MAX)
    whole = text[: text.rfind(b"\n") + 1] if len(text) < CHUNK_BYTES_MAX else text
    positions[log] += len(whole)
    yield from whole.decode(errors="replace").splitlines()


def _write(out: TextIO, name: str, lines: list[str]) -> None:
    out.writelines(f"{name} | {line}\n" for line in lines)
    out.flush()
