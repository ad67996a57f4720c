"""Terminal output: sentences, tables of processes, and JSON."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from stack.base import Running

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line."""
    OUT.print(text, markup=False)


def complain(text: str) -> None:
    """Print an error to standard error."""
    ERR.print(text, markup=False)


def processes(running: Sequence[Running]) -> None:
    """Print a table of processes, if any runs. The restarts are a program's, and stand once for all its processes."""
    if not running:
        return
    table = Table("program", "pid", "up", "restarts", box=None, pad_edge=False, header_style="bold")
    shown: set[str] = set()
    for process in running:
        restarts = "" if process.name in shown else str(process.restarts)
        table.add_row(process.name, str(process.pid), duration(process.uptime_s), restarts)
        shown.add(process.name)
    OUT.print(table)
    if any(process.restarts for process in running):
        OUT.print("Restarts: how often a process of the program ended, and nobody had stopped it.", markup=False)


def as_json(value: object) -> None:
    """Print JSON for scripts."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def missing(names: Sequence[str]) -> None:
    """Print which programs should run and do not."""
    if names:
        OUT.print(f"Not running, or not in full number: {', '.join(names)}. `make logs` shows why.", markup=False)


def console(url: str | None, how: str) -> None:
    """Print where the console is and how to sign in."""
    if url is None:
        OUT.print("There is no console here: CONSOLE_PORT is 0.", markup=False)
    else:
        OUT.print(f"Console: {url} · {how}", markup=False)


def no_workers(workers: int, waiting: int | None = None) -> None:
    """Print what it means that no worker runs, if none does, and how many events wait, if it is known."""
    if workers == 0 and waiting:
        wait = "1 event waits" if waiting == 1 else f"{waiting} events wait"
        OUT.print(f"No worker runs: {wait}, and nothing is applied until `make consumers N=2`.", markup=False)
    elif workers == 0:
        OUT.print("No worker runs: events are accepted and wait; `make consumers N=2` applies them.", markup=False)


def status_json(running: Sequence[Running], missing: Sequence[str], consumers: str | None) -> dict[str, object]:
    """Return the status for scripts. `consumers` is the output of `python -m operations status --json`."""
    return {
        "processes": [asdict(process) for process in running],
        "missing": list(missing),
        "consumers": json.loads(consumers) if consumers else None,
    }


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, as `3 h 12 m`."""
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    left = int(seconds)
    parts: list[str] = []
    for unit, length in units:
        if left >= length or (unit == "s" and not parts):
            parts.append(f"{left // length} {unit}")
            left %= length
    return " ".join(parts[:2])
