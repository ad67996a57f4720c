"""What every way of running the stack can do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass


class StackError(Exception):
    """The stack is not as it was asked to be. The text says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """One running process."""

    name: str
    pid: int
    uptime_s: float
    restarts: int


class Stack(ABC):
    """One stack, identified by its DATA_DIR."""

    @abstractmethod
    def up(self) -> bool:
        """Starts whatever does not run, and waits until it answers. False where there was nothing to do."""

    @abstractmethod
    def down(self) -> bool:
        """Stops everything in order and keeps the data. False where nothing ran."""

    @abstractmethod
    def scale(self, consumers: int) -> None:
        """Runs this many workers; those that have to go finish what they have in hand first."""

    @property
    @abstractmethod
    def workers_wanted(self) -> int:
        """How many workers should run."""

    @abstractmethod
    def workers(self) -> list[int]:
        """The pids of the workers that run."""

    @abstractmethod
    def kill_worker(self, pid: int) -> bool:
        """SIGKILL to one of this stack's workers, as when its memory runs out. False where it runs no more."""

    @abstractmethod
    def running(self) -> list[Running]:
        """Every process that runs."""

    @abstractmethod
    def missing(self) -> list[str]:
        """The programs of which fewer processes run than should."""

    @abstractmethod
    def logs(self, follow: bool, lines: int) -> None:
        """Writes what the programs wrote, until it is interrupted where it follows."""

    @property
    @abstractmethod
    def gateway_url(self) -> str:
        """Where webhooks go."""

    @property
    @abstractmethod
    def workers_metrics_url(self) -> str | None:
        """Where all workers together answer /metrics of it; None where nobody can ask them all."""

    @property
    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """What a command needs in order to find this stack. Holds passwords."""
