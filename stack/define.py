"""`define`: a command of the process manager that changes what a program's next processes are started as."""

from collections.abc import Mapping
from typing import Any

from circus.arbiter import Arbiter
from circus.commands.base import Command
from circus.exc import MessageError

from stack.programs import Name, read_program
from stack.starter import Starter


class Manager(Arbiter):  # type: ignore[misc] # circus has no types
    """Circus' manager, and what each program is started as."""

    starters: Mapping[Name, Starter]


class Define(Command):  # type: ignore[misc]
    """Change what the next processes of a program are started as, confirm it, or revert it."""

    name = "define"
    properties = ("name", "act")

    def execute(self, arbiter: Manager, props: Mapping[str, Any]) -> None:
        """Carry out one act on one program; its running processes stay as they are."""
        starter = arbiter.starters[props["name"]]
        if props["act"] == "confirm":
            starter.confirm()
        elif props["act"] == "revert":
            starter.revert()
        else:
            try:
                starter.define(read_program(props["program"]))
            except OSError as error:
                raise MessageError(f"{props['program']['listens']} cannot be listened on: {error}") from error
