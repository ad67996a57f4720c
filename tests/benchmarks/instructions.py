"""Instructions per request under callgrind, of the gateway and of what it is compared with.

A count of instructions does not depend on the machine's other work, as times do. Valgrind has no SHA instructions, so
that hashing counts for more here than it costs on a real processor; this is the same for all sides.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.gateway import BARE, NAMES, OLD, OLD_CPU_TARGET, Side, start_baseline
from tests.benchmarks.harness import PREFIX, Harness, Options, harness
from tests.support.processes import ROOT, Programs

CONNECTIONS = (128, 32)
WARM_UP_REQUESTS = 300
REQUESTS = 3000

TOOLS = ("valgrind", "callgrind_control")
CALLGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--dump-instr=no", "--trace-children=no")

START_TIMEOUT_S = 300.0
"""Under valgrind a program takes some fifty times as long to start."""

_TOTALS = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


async def run(options: Options) -> list[Figure]:
    """Return the figures of each number of connections; none where valgrind is not installed."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"{' and '.join(missing)} not found: install valgrind (Debian: apt-get install valgrind)")
    async with harness() as on:
        ours = await _counted(on, "gateway", ROOT, options)
        others = {BARE: await _counted(on, BARE, ROOT, options)}
        if options.beside is not None:
            others[OLD] = await _counted(on, "gateway", options.beside, options)
    return [
        Figure(
            f"gateway, {connections} connections", "instructions per request", ours[connections], "",
            other[connections], NAMES[what], OLD_CPU_TARGET if what == OLD else None, at_most=True,
        )
        for connections in options.connections or CONNECTIONS
        for what, other in others.items()
    ]  # fmt: skip


async def _counted(on: Harness, name: str, root: Path, options: Options) -> dict[int, float]:
    """Return the instructions per request of one side, by the number of connections."""
    folder = on.programs.folder / f"callgrind-{name}-{len(list(on.programs.folder.iterdir()))}"
    with Programs(folder, root=root, under=(*CALLGRIND, f"--callgrind-out-file={folder}/out")) as programs:
        async with _started(on, programs, name) as side:
            return {
                connections: await _per_request(on, side, connections, folder)
                for connections in options.connections or CONNECTIONS
            }


@asynccontextmanager
async def _started(on: Harness, programs: Programs, name: str) -> AsyncIterator[Side]:
    if name == "gateway":
        env = {"DURABILITY_TIMEOUT_S": "50", "REDIS_TIMEOUT_S": "60"}
        child = await programs.gateway(on.valkey.url, PREFIX, env, ready=False)
        await child.ready(timeout_s=START_TIMEOUT_S)
        yield Side(child, child.port)
    else:
        yield await start_baseline(programs, on.valkey.url, name, timeout_s=START_TIMEOUT_S)


async def _per_request(on: Harness, side: Side, connections: int, folder: Path) -> float:
    await on.load.send(side.port, connections=connections, count=WARM_UP_REQUESTS)
    await _control("--instr=on", side)
    await on.load.send(side.port, connections=connections, count=WARM_UP_REQUESTS)
    await _control("--zero", side)
    await on.load.send(side.port, connections=connections, count=REQUESTS)
    await _control("--dump", side)
    await _control("--instr=off", side)
    await on.redis.flushdb()
    return _newest_total(folder) / REQUESTS


def _newest_total(folder: Path) -> int:
    """Return the instructions of the newest dump; a later one has a higher number in its name."""
    dumps = [path for path in folder.glob("out.*") if path.suffix.removeprefix(".").isdigit()]
    newest = max(dumps, key=lambda path: int(path.suffix.removeprefix(".")))
    return int(_TOTALS.findall(newest.read_text())[-1])


async def _control(action: str, side: Side) -> None:
    process = await asyncio.create_subprocess_exec(
        "callgrind_control", action, str(side.child.pid), stdout=asyncio.subprocess.DEVNULL
    )
    code = await process.wait()
    assert code == 0, f"callgrind_control {action} ended with {code}"
