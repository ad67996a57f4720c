"""`python -m tests.benchmarks [NAME|all]`: our figures, and the other side's where there is one."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from rich.console import Console

from tests.benchmarks import (
    capacity,
    confirm,
    consumers,
    end_to_end,
    gateway,
    hostile,
    instructions,
    isolation,
    memory,
    pages,
    partitions,
    pooler,
    reconcile,
    scale,
    strangers,
    telemetry,
    verify,
    waiting,
)
from tests.benchmarks.figures import Figure, table
from tests.benchmarks.harness import Options

BENCHMARKS: dict[str, Callable[[Options], Awaitable[list[Figure]]]] = {
    "gateway": gateway.run,
    "consumers": consumers.run,
    "end_to_end": end_to_end.run,
    "waiting": waiting.run,
    "isolation": isolation.run,
    "memory": memory.run,
    "verify": verify.run,
    "hostile": hostile.run,
    "strangers": strangers.run,
    "telemetry": telemetry.run,
}

ON_REQUEST: dict[str, Callable[[Options], Awaitable[list[Figure]]]] = {
    "capacity": capacity.run,
    "confirm": confirm.run,
    "instructions": instructions.run,
    "pages": pages.run,
    "partitions": partitions.run,
    "pooler": pooler.run,
    "reconcile": reconcile.run,
    "scale": scale.run,
}
"""Not part of `all`: `instructions` and `pooler` need tools that are not installed everywhere, others take minutes, and
`pages` and `scale` 20 GB."""

PLAIN_WIDTH_CHARS = 140
"""The table's width in a file or a pipe."""


def main() -> None:
    """Run the named benchmarks one after the other; the exit code says nothing about speed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("which", nargs="?", default="all", choices=[*BENCHMARKS, *ON_REQUEST, "all"])
    parser.add_argument("--json", action="store_true", help="figures for scripts")
    parser.add_argument("--seconds", type=float, default=3, help="how long one side is measured at a time")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn; the median counts")
    parser.add_argument("--events", type=int, default=200_000, help="of `memory`, `scale` and `capacity`")
    parser.add_argument("--beside", type=Path, help="a checkout of another commit, whose gateway is measured as well")
    parser.add_argument("--connections", type=int, nargs="+", default=(), help="only with these numbers of connections")
    parser.add_argument("--rows", type=int, default=10_000_000, help="how long the history of `pages` and `scale` is")
    parser.add_argument("--folder", type=Path, help="where the history is kept, for a later run")
    parser.add_argument("--ids", choices=["random", "sequential"], default="random", help="of the events of `scale`")
    parser.add_argument("--cold", action="store_true", help="`scale` begins each turn with nothing in memory")
    parser.add_argument("--days", type=int, default=365, help="over which the history of `scale` is spread")
    parser.add_argument("--hot-days", type=int, default=365, help="the older events of `scale` are in the archive")
    parser.add_argument(
        "--checkpoint-events", type=int, default=80_000, help="`scale` makes a checkpoint after each number of them"
    )
    parser.add_argument("--curve", action="store_true", help="`scale` on histories of several sizes, extrapolated")
    asked = parser.parse_args()
    options = Options(
        asked.seconds,
        asked.rounds,
        asked.events,
        asked.beside,
        tuple(asked.connections),
        asked.rows,
        asked.folder,
        asked.ids,
        asked.cold,
        asked.days,
        asked.hot_days,
        asked.checkpoint_events,
        asked.curve,
    )
    caption = (
        f"Python {platform.python_version()} on {os.cpu_count()} processors; load before: {os.getloadavg()[0]:.1f}"
    )
    names = list(BENCHMARKS) if asked.which == "all" else [asked.which]
    figures = uvloop.run(_run(names, options))
    if asked.json:
        sys.stdout.write(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")
    else:
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH_CHARS)
        console.print(table(figures, caption=caption))


async def _run(names: list[str], options: Options) -> list[Figure]:
    figures = []
    for name in names:
        sys.stderr.write(f"{name} …\n")
        figures += await (BENCHMARKS | ON_REQUEST)[name](options)
    return figures


if __name__ == "__main__":
    main()
