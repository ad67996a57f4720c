"""`define`: a command of the process manager that changes what a program's next processes are started as."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from circus.arbiter import Arbiter
from circus.commands.base import Command
from circus.exc import MessageError
from circus.watcher import Watcher

from stack.programs import Name, read_program
from stack.starter import Pool, Starter


class Manager(Arbiter):  # type: ignore[misc] # circus has no types
    """Circus' manager, and what each program is started as."""

    starters: Mapping[Name, Starter]


class Define(Command):  # type: ignore[misc]
    """Change what the next processes of a program are started as, confirm it, or revert it."""

    name = "define"
    properties = ("name", "act")

    def execute(self, arbiter: Manager, props: Mapping[str, Any]) -> asyncio.Future[None] | None:
        """Carry out one act on one program. Its running processes stay as they are, those of a reverted one end."""
        starter, watcher = arbiter.starters[props["name"]], arbiter.get_watcher(props["name"])
        if props["act"] == "confirm":
            starter.confirm()
        elif props["act"] == "revert":
            pool = starter.revert()
            return restore(watcher, pool) if pool else None
        else:
            pool = Pool(frozenset(watcher.processes), watcher.numprocesses)
            try:
                starter.define(read_program(props["program"]), pool)
            except OSError as error:
                raise MessageError(f"{props['program']['listens']} cannot be listened on: {error}") from error
        return None


def restore(watcher: Watcher, pool: Pool) -> asyncio.Future[None]:
    """Let the processes of before be all again, and end the others. Return what is done once these have ended.

    All is changed in one step, and the manager forgets the others at once. Otherwise one of its checks in between would
    find too many, and end the one that runs the longest: one of before.
    """
    watcher.numprocesses = pool.wanted
    others = [process for pid, process in watcher.processes.items() if pid not in pool.pids]
    ends = [watcher.kill_process(process) for process in others]  # each has its signal now
    for process in others:
        del watcher.processes[process.pid]
    return asyncio.ensure_future(_all_done(ends))


async def _all_done(ends: Iterable[asyncio.Future[bool]]) -> None:
    await asyncio.gather(*ends)
