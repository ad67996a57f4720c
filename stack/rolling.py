"""Replaces the processes of a program one after another: the next one is ready before an old one ends."""

from functools import partial
from pathlib import Path

from stack.control import Control
from stack.programs import Program
from stack.ready import NotReadyError, Waiter


def replace(control: Control, program: Program, waiter: Waiter, log: Path) -> None:
    """Replace every process of this program by one that is started as `program` says.

    Raise NotReadyError if a new process does not become ready. Then, or on Ctrl-C, the old ones run on.
    """
    name = program.name
    control.define(program)
    old = set(control.pids(name))
    target = control.target(name)
    try:
        while old & set(control.pids(name)):
            control.scale(name, target + 1, program.stop_timeout_s)
            waiter.until(name, partial(_new_are_ready, control, program, old), log, partial(control.restarts, name))
            # The manager ends the one that runs the longest.
            control.scale(name, target, program.stop_timeout_s)
    except (NotReadyError, KeyboardInterrupt) as error:
        control.revert(name, program.stop_timeout_s)
        # A manager of an earlier version has not ended them.
        for pid in set(control.pids(name)) - old:
            control.end(name, pid, program.stop_timeout_s)
        control.scale(name, target, program.stop_timeout_s)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise NotReadyError(
            f"{error}\nThe {name} processes from before run on, with the settings from before."
        ) from error
    control.confirm(name)


async def _new_are_ready(control: Control, program: Program, old: set[int]) -> str:
    pids, ready = set(control.pids(program.name)), control.ready(program.name)
    new = pids - old
    return "" if new and new <= ready else "the new process is not ready"
