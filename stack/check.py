"""Checks all settings before anything is started or stopped: each program checks its own."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence

from stack import ready
from stack.base import StackError
from stack.programs import Name, Program
from stack.progress import PROGRESS

CHECK_TIMEOUT_S = 60
"""A check imports the program and the user's handlers."""


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
    problems: list[str] = []
    for name, process in running.items():
        try:
            output, errors = process.communicate(timeout=CHECK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            problems.append(f"the check of {name} did not end within {CHECK_TIMEOUT_S} s")
            continue
        if process.returncode != 0:
            problems += errors.strip().splitlines() or [f"the check of {name} ended with {process.returncode}"]
        else:
            digests[name] = output.split()[-1]
    if problems:
        raise WrongSettingsError(problems_text(problems))
    return digests


def require_address(host: str) -> None:
    """Raise WrongSettingsError where no server can listen on this address of the gateway."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise WrongSettingsError(
            problems_text([f"GATEWAY_HOST: nothing can listen on {host}: {error.strerror}"])
        ) from error


def require_servers(redis_url: str, database_url: str) -> None:
    """Raise WrongSettingsError where a server of the user's own does not answer; an empty URL is not asked."""
    reasons = {
        "REDIS_URL": asyncio.run(ready.redis_answers(redis_url)) if redis_url else "",
        "DATABASE_URL": asyncio.run(ready.postgres_answers(database_url)) if database_url else "",
    }
    problems = [f"{name}: this server does not answer: {reason}" for name, reason in reasons.items() if reason]
    if problems:
        raise WrongSettingsError(problems_text(problems))


def problems_text(lines: Sequence[str]) -> str:
    """Return the problems of several programs as one text, each line once."""
    return "\n".join([*dict.fromkeys(lines), "Nothing was started or stopped; what runs runs on as it is."])
