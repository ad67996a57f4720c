"""Talks to the container engine through the `docker` program."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stack.base import Running, StackError

PROBE_TIMEOUT_S = 10
"""How long the engine may take to show that it runs."""

INSPECT = (
    '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.State.ExitCode}}'
    " {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}"
    " {{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}"
)
"""The format of `docker inspect` that `read_container` parses."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the project, running or not."""

    service: str
    container_id: str
    status: str
    """The engine's word: created, running, restarting, exited …"""
    exit_code: int
    health: str
    """healthy, unhealthy, starting; none without a health check."""
    process: Running

    @property
    def runs(self) -> bool:
        """Whether it has a running process."""
        return self.status == "running"

    @property
    def done(self) -> bool:
        """Whether it ended with exit code 0, as `migrate` does."""
        return self.status == "exited" and self.exit_code == 0


def engine_answers() -> bool:
    """Return whether a container engine with Compose answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        for question in (["compose", "version"], ["info"]):
            subprocess.run([docker, *question], check=True, capture_output=True, timeout=PROBE_TIMEOUT_S)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def output(argv: list[str], environment: Mapping[str, str], timeout_s: float) -> str:
    """Run a command and return its standard output. Raise StackError if it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 -- our own arguments
            argv, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except FileNotFoundError as error:
        raise StackError("there is no `docker` here; install it, or use STACK=embedded") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"`{' '.join(argv)}` did not end within {timeout_s} s and was killed") from error
    if done.returncode != 0:
        raise StackError(f"`{' '.join(argv)}` failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout


def read_container(container_id: str, line: str) -> Container:
    """Parse one line of `docker inspect`."""
    service, status, exit_code, health, pid, started_at, restarts = line.split()
    # Without the nanoseconds, which datetime does not parse.
    since = datetime.fromisoformat(started_at[:19]).replace(tzinfo=UTC)
    process = Running(service, int(pid), (datetime.now(UTC) - since).total_seconds(), int(restarts))
    return Container(service, container_id, status, int(exit_code), health, process)
