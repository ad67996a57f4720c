"""`make logs`: what every program wrote, each line with its program's name."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

PAUSE_S = 0.2
"""Between two looks at the files."""

LINES = 20
"""How many lines of the past each program is shown with."""

CHUNK_BYTES_MAX = 1_000_000
"""How much of one log is read at a time."""


def show(logs: list[Path], out: TextIO, follow: bool, lines: int = LINES) -> None:
    """Writes the last lines of each log, then, with `follow`, whatever is added, until it is interrupted."""
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
    """The whole lines added since the last look; a log that became shorter was rotated, and starts again."""
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
