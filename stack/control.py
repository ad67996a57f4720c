"""A client of the process manager of an embedded stack."""

import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import psutil
from circus.client import CircusClient
from circus.exc import CallError

from stack import lock
from stack.base import Running, StackError
from stack.programs import Name, Program, write_program
from stack.progress import PROGRESS

CONTROL_ENDPOINT = "ipc://control.sock"
EVENTS_ENDPOINT = "ipc://events.sock"
"""Relative to DATA_DIR, which only its owner may enter."""

ANSWER_TIMEOUT_S = 5
"""For one command. Commands that wait for processes to end get the limit of those on top."""

BUSY_PAUSE_S = 0.1
"""The pause before a command is repeated: the manager runs one at a time and refuses others meanwhile."""


class ControlError(StackError):
    """The process manager failed to carry out a command."""


class Control:
    """The manager of one DATA_DIR. Its calls change this process' working folder meanwhile: see CONTROL_ENDPOINT."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    @property
    def pid(self) -> int | None:
        """The manager's pid; None if none runs."""
        return lock.owner(self._data_dir / "supervisor.pid")

    def answers(self) -> bool:
        """Return whether a manager runs and listens."""
        if self.pid is None:
            return False
        try:
            self._call("numwatchers")
        except ControlError:
            return False
        return True

    def names(self) -> list[Name]:
        """Return the programs it manages."""
        found: list[Name] = self._call("list")["watchers"]
        return found

    def start(self, name: Name) -> None:
        """Start a program's processes unless they run."""
        self._call("start", name=name, waiting=True)

    @property
    def replaces_processes(self) -> bool:
        """Whether this manager, which an earlier version may have started, can replace processes one by one."""
        return all("ready" in self._call("options", name=name)["options"] for name in self.names())

    def define(self, program: Program) -> None:
        """Start the next processes of a program like this. Those that run stay as they are."""
        self._call("define", name=program.name, act="define", program=write_program(program))

    def confirm(self, name: Name) -> None:
        """Make the last `define` final."""
        self._call("define", name=name, act="confirm")

    def revert(self, name: Name, timeout_s: float) -> None:
        """Undo the last `define`. Return once the processes that it started have ended."""
        self._call("define", timeout_s, name=name, act="revert", waiting=True)

    def ready(self, name: Name) -> set[int]:
        """Return the pids of the program's processes that have reported that they are ready."""
        return set(self._call("options", name=name)["options"]["ready"]) & set(self.pids(name))

    def end(self, name: Name, pid: int, timeout_s: float) -> None:
        """Stop one process. The manager starts another in its place."""
        self._call("kill", timeout_s, name=name, pid=pid, waiting=True)

    def scale(self, name: Name, processes: int, timeout_s: float) -> None:
        """Run this many processes of a program. Return once the superfluous ones have ended."""
        PROGRESS.step(f"waiting until {processes} of {name} run")
        self._call("set", timeout_s, name=name, options={"numprocesses": processes}, waiting=True)
        if processes:
            self.start(name)

    def target(self, name: Name) -> int:
        """Return how many processes of a program should run."""
        return int(self._call("options", name=name)["options"]["numprocesses"])

    def pids(self, name: Name) -> list[int]:
        """Return the pids of a program's processes."""
        return [int(pid) for pid in self._call("list", name=name)["pids"]]

    def running(self) -> list[Running]:
        """Return every running process."""
        return [process for name in self.names() for process in self._running(name)]

    def restarts(self, name: Name) -> int:
        """Return how often a process of this program ended without having been stopped."""
        return int(self._call("options", name=name)["options"]["restarts"][0])

    def stop(self, name: Name, timeout_s: float) -> None:
        """Stop a program's processes and wait until they are gone."""
        PROGRESS.step(f"stopping {name}, which finishes its work first")
        self._call("stop", timeout_s, name=name, waiting=True)

    def quit(self) -> None:
        """Ask the manager to stop what still runs, then itself. Returns at once."""
        self._call("quit")

    def _running(self, name: Name) -> list[Running]:
        """Avoids circus' `stats` command, which fails when one of the processes has just died."""
        restarts = self.restarts(name)
        return [Running(name, pid, age_s, restarts) for pid in self.pids(name) if (age_s := _age_s(pid)) is not None]

    def _call(self, command: str, timeout_s: float = 0, **properties: object) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s + ANSWER_TIMEOUT_S
        while True:
            answer = self._once(command, deadline - time.monotonic(), properties)
            if answer.get("status") == "ok":
                return answer
            reason = str(answer.get("reason"))
            if "already running" not in reason or time.monotonic() > deadline:
                raise ControlError(f"the process manager answered {command!r} with: {reason}")
            time.sleep(BUSY_PAUSE_S)

    def _once(self, command: str, timeout_s: float, properties: dict[str, object]) -> dict[str, Any]:
        with chdir(self._data_dir):
            client = CircusClient(endpoint=CONTROL_ENDPOINT, timeout=max(timeout_s, BUSY_PAUSE_S))
            try:
                answer: dict[str, Any] = client.send_message(command, **properties)
            except CallError as error:
                raise ControlError(self._silence(error)) from error
            finally:
                client.stop()
        return answer

    def _silence(self, error: CallError) -> str:
        pid = self.pid
        if pid is None:
            return "the process manager has ended, and everything that it ran; `make up` starts it again"
        return f"the process manager (pid {pid}) does not answer: {error}"


def _age_s(pid: int) -> float | None:
    """Return the age of a process; None if it has ended, even if its parent has not reaped it."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else time.time() - process.create_time()
    except psutil.NoSuchProcess:
        return None
