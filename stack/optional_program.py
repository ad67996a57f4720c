"""Starting the programs of an embedded stack whose failure is their own only: the console and the reconciler."""

from functools import partial

from stack import show
from stack.base import StackError
from stack.control import Control
from stack.ports import holder, is_free
from stack.programs import Name, Plan, Program, log_file
from stack.ready import Waiter

OPTIONAL: frozenset[Name] = frozenset({"console", "reconciler"})
"""Those that may be wanted or not, and whose failure stops nothing else. The manager of an older version has none."""

PORTS: dict[Name, str] = {"console": "console"}
"""The ports of those that have one."""


def start_optional(control: Control, chosen: Plan, waiter: Waiter, changed: set[Name]) -> None:
    """Start each, or replace it if something changed for it. Whatever fails is a sentence."""
    for program in chosen.programs():
        if program.name in OPTIONAL:
            _start(control, chosen, program, waiter, is_changed=program.name in changed)


def _start(control: Control, chosen: Plan, program: Program, waiter: Waiter, *, is_changed: bool) -> None:
    name = program.name
    if name not in control.names():
        if program.processes:
            show.say(f"The {name} starts once everything was restarted: `make down` and `make up`.")
        return
    port = getattr(chosen.ports, PORTS[name]) if name in PORTS else None
    try:
        if is_changed:
            control.define(program)
            control.stop(name, program.stop_timeout_s)
            control.confirm(name)
        is_taken = bool(port and program.processes) and not control.pids(name) and not is_free(port or 0)
        control.scale(name, program.processes, program.stop_timeout_s)
        if is_taken:  # it is tried again and again, and starts once the port is free
            show.complain(
                f"The {name} does not run; everything else does: port {port} is taken by {holder(port or 0)}."
            )
        elif program.processes:
            log = log_file(chosen.settings.data_dir, name)
            waiter.until(name, partial(_is_ready, control, program), log, partial(control.restarts, name))
    except StackError as error:
        _complain(name, f". {error}")


def _complain(name: Name, reason: str) -> None:
    show.complain(f"The {name} does not run; everything else does{reason}")


async def _is_ready(control: Control, program: Program) -> str:
    return "" if control.ready(program.name) else "its process is not ready"
