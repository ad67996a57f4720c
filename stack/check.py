"""Checks all settings before anything is started or stopped: each program checks its own."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from urllib.parse import urlsplit

from stack import ready, show
from stack.base import StackError
from stack.ports import holder
from stack.programs import Name, Program
from stack.progress import PROGRESS
from stack.state import Ports, State, moved_ports

CHECK_TIMEOUT_S = 60
"""A check imports the program and the user's handlers."""

OTHERS_PATIENCE_S = 5
"""How long `make up` waits for a server that it does not start: one of the same host may start together with us."""

IN_SOURCES = " cannot be used, so nothing was started:"
"""How the gateway ends the line with the file whose problems follow."""


class WrongSettingsError(StackError):
    """Settings cannot be used. The text has every problem, and nothing was changed."""


def check_parts(parts: Sequence[Program]) -> dict[Name, str]:
    """Return a digest of what each part is configured with. Raise WrongSettingsError with the problems of all."""
    PROGRESS.step("checking all settings, sources and handlers")
    running = {
        part.name: subprocess.Popen(  # noqa: S603 -- ourselves
            [sys.executable, "-m", part.name, "check"],
            env=dict(part.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in parts
    }
    digests: dict[Name, str] = {}
    problems: dict[Name, list[str]] = {}
    for name, process in running.items():
        try:
            output, errors = process.communicate(timeout=CHECK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            problems[name] = [f"the check of {name} did not end within {CHECK_TIMEOUT_S} s"]
            continue
        if process.returncode != 0:
            problems[name] = errors.strip().splitlines() or [f"the check of {name} ended with {process.returncode}"]
        else:
            digests[name] = output.split()[-1]
    if problems:
        raise WrongSettingsError(problems_text(each_once(problems)))
    return digests


def check_operations(*, asks_apis: bool) -> list[str]:
    """Return what is wrong with the settings of console, notifications and access to APIs; print what else was found.

    The problems stop nothing that `make up` starts. `asks_apis`: each API with credentials is asked whether it accepts
    them; one that does not answer is no problem.
    """
    PROGRESS.step("checking the settings of console and notifications, and credentials for providers' APIs")
    done = subprocess.run(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "operations", "check", *(["--apis"] if asks_apis else [])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CHECK_TIMEOUT_S,
        check=False,
    )
    for line in done.stdout.splitlines():
        show.say(line)
    return done.stderr.strip().splitlines() if done.returncode else []


def each_once(problems: Mapping[Name, Sequence[str]]) -> list[str]:
    """Return the problems of all parts.

    Workers read sources.toml to its first mistake, and the gateway names all of them, so that those of workers are left
    out where the gateway has the same file's.
    """
    of_gateway = problems.get("gateway", ())
    files = [line.removesuffix(IN_SOURCES) for line in of_gateway if line.endswith(IN_SOURCES)]
    others = [line for name, lines in problems.items() if name != "gateway" for line in lines]
    return [*of_gateway, *(line for line in others if not any(f" {file}: " in line for file in files))]


def require_addresses(hosts: Mapping[str, str]) -> None:
    """Raise WrongSettingsError where no server can listen on an address. `hosts`: by the name of its setting."""
    problems = [
        f"{name}: nothing can listen on {host!r}, because {reason}: name an address of this host, such as 127.0.0.1, "
        "or 0.0.0.0 for all"
        for name, host in hosts.items()
        if (reason := _bind_problem(host))
    ]
    if problems:
        raise WrongSettingsError(problems_text(problems))


def _bind_problem(host: str) -> str:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    except UnicodeError:
        return "it is not the name of a host"
    return ""


def require_servers(redis_url: str, database_url: str, patience_s: float = 0) -> None:
    """Raise WrongSettingsError where a server of the user's own does not answer; an empty URL is not asked.

    With patience one is asked again: it may start together with us.
    """
    asked: list[tuple[str, str, Callable[[str], Coroutine[None, None, str]]]] = [
        ("REDIS_URL", redis_url, ready.redis_answers),
        ("DATABASE_URL", database_url, _others_postgres_answers),
    ]
    deadline = time.monotonic() + patience_s
    while problems := [
        f"{name}: your server at {_place(url)} does not answer: {reason}"
        for name, url, answers in asked
        if url and (reason := asyncio.run(answers(url)))
    ]:
        if time.monotonic() >= deadline:
            raise WrongSettingsError(problems_text(problems))
        PROGRESS.step(problems[0])
        time.sleep(ready.PAUSE_S)


async def _others_postgres_answers(url: str) -> str:
    try:
        return await ready.postgres_answers(url)
    except ready.WrongPasswordError:
        return "it refuses the password in this address"


def _place(url: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def report_moved_ports(last: State | None, now: Ports, asked: Mapping[str, int | None]) -> None:
    """Print which addresses of metrics differ from before, unless a setting says so: somebody may read them there."""
    for name, port in moved_ports(last.ports, now).items() if last else ():
        if asked[name] is None:
            show.say(
                f"Port {port}, which was {name.upper()}_PORT before, is taken by {holder(port)}; it is "
                f"{getattr(now, name)} from now on."
            )


def problems_text(lines: Sequence[str]) -> str:
    """Return the problems of several programs as one text, each line once."""
    return "\n".join([*dict.fromkeys(lines), "Nothing was started or stopped; what runs runs on as it is."])
