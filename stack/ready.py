"""Waiting, with a limit, until a started program answers. The error contains the last lines of its log."""

import asyncio
import http.client
import json
import ssl
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr
from redis.exceptions import RedisError

from runtime.redis_connection import client
from runtime.tls import describe_tls_of_postgres
from stack.base import StackError
from stack.progress import PROGRESS

Question = Callable[[], Coroutine[None, None, str]]
"""Returns "" once the program is ready, else the reason why it is not."""

PAUSE_S = 0.1
"""Between two checks."""

ANSWER_TIMEOUT_S = 5
"""For one check."""

QUESTIONS_PER_WORKER = 8
"""The system assigns connections to workers at random. This many reach all of them nearly always."""

LOG_LINES = 20
"""How much of a log is shown when its program does not answer."""

RESTARTS_MAX = 3
"""A program that was restarted this often while we waited is not expected to answer any more."""


class NotReadyError(StackError):
    """A started program does not answer. The text contains the last lines of its log."""


class WrongPasswordError(StackError):
    """A server runs with another password than ours; waiting does not help."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """Repeats checks until `deadline` (monotonic). `sizes` are those of the logs before, whose lines are not shown."""

    deadline: float
    sizes: Mapping[Path, int] = field(default_factory=dict)

    def until(
        self, name: str, answers: Question, log: Path | None, restarts: Callable[[], int], fallback: Path | None = None
    ) -> None:
        """Wait until `answers` returns "". Raise NotReadyError with its last reason at the deadline.

        The error shows the end of `log`, or of `fallback` if the program did not start and so wrote nothing.
        """
        restarts_before = restarts()
        while reason := asyncio.run(_bounded(answers)):
            tries = restarts() - restarts_before
            if tries >= RESTARTS_MAX or time.monotonic() > self.deadline:
                again = f" It was restarted {tries} times." if tries else ""
                raise NotReadyError(
                    f"{name} does not answer: {reason}.{again}{self._tail(log) or self._tail(fallback)}"
                )
            PROGRESS.step(f"waiting for {name}: {reason}")
            time.sleep(PAUSE_S)

    def _tail(self, log: Path | None) -> str:
        return tail(log, self.sizes.get(log, 0) if log else 0)


async def _bounded(answers: Question) -> str:
    """Ask once, and pause at the end: a Ctrl-C cancels this task, which would end unmoved if it never paused again."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = await answers()
            await asyncio.sleep(0)
            return answer
    except TimeoutError:
        return f"no answer within {ANSWER_TIMEOUT_S} s"


def sizes(logs: Iterable[Path]) -> dict[Path, int]:
    """Return how long each log is now."""
    return {log: log.stat().st_size for log in logs if log.exists()}


def tail(log: Path | None, start: int = 0) -> str:
    """Return the last lines of a log after its byte `start`, to be appended to a sentence."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as file:
        # A log that became shorter was rotated.
        file.seek(start if start <= log.stat().st_size else 0)
        last = file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    return f" The last lines of {log}:\n" + "\n".join(f"  {line}" for line in last) if last else ""


async def postgres_answers(url: str) -> str:
    """Return "" once PostgreSQL accepts a connection."""
    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_TIMEOUT_S)
    except asyncpg.InvalidPasswordError as error:
        raise WrongPasswordError(
            "PostgreSQL refuses our password: its data was created with another POSTGRES_PASSWORD than .env has now. "
            "Restore the old one, or choose another DATA_DIR."
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        return describe_tls_of_postgres(url, error) or str(error) or type(error).__name__
    await connection.close()
    return ""


async def redis_answers(url: str) -> str:
    """Return "" once Redis answers PING."""
    try:
        async with client(SecretStr(url), timeout_s=ANSWER_TIMEOUT_S, name="payments-stack") as redis:
            await redis.ping()
    except (RedisError, OSError) as error:
        return str(error) or type(error).__name__
    return ""


async def gateway_answers(url: str) -> str:
    """Return "" once the gateway reports that it can accept events and make them durable."""
    status, body = await asyncio.to_thread(ask, url)
    return "" if status == 200 else body


async def workers_answer(url: str | None, pids: Collection[int]) -> str:
    """Return "" once each of these workers reports that it reads. They share the address; any of them may answer."""
    if url is None:
        return ""
    ready: set[int] = set()
    reason = "none has answered"
    for _ in range(QUESTIONS_PER_WORKER * len(pids)):
        status, body = await asyncio.to_thread(ask, url)
        if status == 200:
            ready.add(int(json.loads(body)["pid"]))
        reason = body
        if ready >= set(pids):
            return ""
    return f"{len(ready & set(pids))} of {len(pids)} workers are ready ({reason})" if pids else ""


def ask(url: str, path: str = "/readyz") -> tuple[int, str]:
    """Return the status and text of a page; 0 and the reason without an answer. Ignores proxy settings."""
    connection = connect(url)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


def connect(url: str) -> http.client.HTTPConnection:
    """Return a connection to the gateway or to workers, which is opened with its first request."""
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme != "https":
        return http.client.HTTPConnection(host, address.port, timeout=ANSWER_TIMEOUT_S)
    # The certificate is not verified: the gateway is our own, on this host, and its certificate is self-signed or for
    # the public address.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, address.port, timeout=ANSWER_TIMEOUT_S, context=context)
