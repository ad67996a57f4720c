"""Starting the console of an embedded stack, whose failure is its own only."""

from functools import partial

from stack import show
from stack.base import StackError
from stack.control import Control
from stack.ports import holder, is_free
from stack.programs import Plan, Program, log_file
from stack.ready import Waiter

NAME = "console"


def start_console(control: Control, chosen: Plan, waiter: Waiter, *, is_changed: bool) -> None:
    """Start the console, or replace it if something changed for it. Whatever fails is a sentence."""
    if NAME not in control.names():
        show.say("The console starts once everything was restarted: `make down` and `make up`.")
        return
    program, port = chosen.console(), chosen.ports.console
    try:
        if is_changed:
            control.define(program)
            control.stop(NAME, program.stop_timeout_s)
            control.confirm(NAME)
        is_taken = bool(program.processes) and not control.pids(NAME) and not is_free(port)
        control.scale(NAME, program.processes, program.stop_timeout_s)
        if is_taken:  # it is tried again and again, and starts once the port is free
            show.complain(f"The console does not run; everything else does: port {port} is taken by {holder(port)}.")
        elif program.processes:
            log = log_file(chosen.settings.data_dir, NAME)
            waiter.until(NAME, partial(_is_ready, control, program), log, partial(control.restarts, NAME))
    except StackError as error:
        show.complain(f"The console does not run; everything else does. {error}")


async def _is_ready(control: Control, program: Program) -> str:
    return "" if control.ready(program.name) else "its process is not ready"
