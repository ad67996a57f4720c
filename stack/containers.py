"""Talks to the container engine through the `docker` program."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
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

KILL = "kill -KILL $(cat /proc/1/task/1/children)"
"""Kills a container's program from inside. The engine does not restart a container that was killed from outside."""

LOG_LINES = 20
"""How many log lines are shown of a container that does not become healthy."""

ERASE_LINE = "\x1b[2K"
"""What Compose writes before each line of a log, also where there is no terminal."""

NOT_READABLE = "In a container, user 10001 reads these files: `chmod a+r` them, and `chmod a+x` their folders."

RunCompose = Callable[..., str]
"""Runs `docker compose` of one project with these arguments and returns what it wrote."""


class CommandFailedError(StackError):
    """The `docker` program ended with another exit code than 0."""

    def __init__(self, argv: list[str], exit_code: int, said: str) -> None:
        super().__init__(f"`{' '.join(argv)}` failed ({exit_code}):\n{said}")
        self.exit_code = exit_code
        self.said = said
        """What it wrote to its standard error."""


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
        raise CommandFailedError(argv, done.returncode, done.stderr.strip())
    return done.stdout


def read_container(container_id: str, line: str) -> Container:
    """Parse one line of `docker inspect`."""
    service, status, exit_code, health, pid, started_at, restarts = line.split()
    # Without the nanoseconds, which datetime does not parse.
    since = datetime.fromisoformat(started_at[:19]).replace(tzinfo=UTC)
    process = Running(service, int(pid), (datetime.now(UTC) - since).total_seconds(), int(restarts))
    return Container(service, container_id, status, int(exit_code), health, process)


def number(containers: list[Container], service: str) -> int:
    """Return how many containers of a service there are."""
    return sum(container.service == service for container in containers)


def running_ids(containers: list[Container]) -> set[str]:
    """Return the ids of the containers that run."""
    return {container.container_id for container in containers if container.runs}


def start_commands(before: list[Container], consumers: int) -> list[tuple[str, ...]]:
    """Return the arguments of each `docker compose up`.

    The console is not among them: it may fail. A running gateway comes last and by itself: Compose stops everything
    that it replaces before it starts any of it, and would keep the port closed until servers, migrations and workers
    are done.
    """
    workers = ("--build", f"--scale=consumers={consumers}", "consumers")
    if number([container for container in before if container.runs], "gateway") == 0:
        return [(*workers, "gateway")]
    return [workers, ("gateway",)]


def last_lines(run: RunCompose, service: str) -> str:
    """Return the last log lines of a service, to be appended to a sentence."""
    text = run("logs", "--no-color", "--no-log-prefix", f"--tail={LOG_LINES}", service).replace(ERASE_LINE, "").strip()
    return f"\nThe last lines of {service}:\n{text}" if text else ""
