"""The interface of every way to run the stack."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass


class StackError(Exception):
    """A command on the stack failed. The text says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """One running process."""

    name: str
    pid: int
    uptime_s: float
    restarts: int
    """How often processes of its program, all together, ended and nobody had stopped them, since the stack started."""


class Stack(ABC):
    """One stack, identified by its DATA_DIR."""

    @abstractmethod
    def up(self) -> bool:
        """Start what does not run and wait until it answers. Return False if everything ran already."""

    @abstractmethod
    def check(self) -> None:
        """Check all settings, and change nothing. Raise StackError with every problem."""

    @abstractmethod
    def down(self) -> bool:
        """Stop everything in order and keep the data. Return False if nothing ran."""

    @abstractmethod
    def scale(self, consumers: int) -> None:
        """Run this many workers. Workers that are removed finish their batch first."""

    @property
    @abstractmethod
    def workers_wanted(self) -> int:
        """The number of workers that should run."""

    @abstractmethod
    def workers(self) -> list[int]:
        """Return the pids of the running workers."""

    @abstractmethod
    def kill_worker(self, pid: int) -> bool:
        """Send SIGKILL to one of this stack's workers. Return False if it does not run any more."""

    @abstractmethod
    def running(self) -> list[Running]:
        """Return every running process."""

    @abstractmethod
    def missing(self) -> list[str]:
        """Return the programs of which too few processes run."""

    @abstractmethod
    def logs(self, follow: bool, lines: int) -> None:
        """Print the last lines of every program's log. With `follow`, continue until interrupted."""

    @property
    @abstractmethod
    def gateway_url(self) -> str:
        """The address that webhooks are sent to."""

    @property
    def gateway_operators_url(self) -> str | None:
        """The address of the gateway's operators' port; None where the setting says so."""
        return self.environment.get("GATEWAY_OPERATORS_URL")

    @property
    def console_url(self) -> str | None:
        """The address of the console; None where the setting says so."""
        return self.environment.get("CONSOLE_URL")

    @property
    @abstractmethod
    def workers_metrics_url(self) -> str | None:
        """The address of the /metrics of all workers together; None if there is no common one."""

    @property
    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """The environment in which a command finds this stack. Contains passwords."""
