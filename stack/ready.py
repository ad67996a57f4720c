"""Waiting until what was started answers, with a limit, and with the log's last lines where it does not."""

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stack.base import StackError
from stack.ports import HOST

Question = Callable[[], Coroutine[None, None, str]]
"""Answers "" once it is ready, else the reason why not."""

PAUSE_S = 0.1
"""Between two questions."""

ANSWER_TIMEOUT_S = 5
"""For one question."""

QUESTIONS_PER_WORKER = 8
"""The system spreads connections over the workers by chance; with so many, all of them are met nearly always."""

LOG_LINES = 20
"""How much of a log is shown when its program does not answer."""

RESTARTS_MAX = 3
"""A program that was started again this often while we waited will not answer later either."""


class NotReadyError(StackError):
    """Something that was started does not answer. The text has its last log lines."""


class WrongPasswordError(StackError):
    """A server runs, but with another password than ours; waiting does not help."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """Asks again and again until `deadline` (monotonic)."""

    deadline: float

    def until(
        self, name: str, answers: Question, log: Path | None, restarts: Callable[[], int], fallback: Path | None = None
    ) -> None:
        """Returns when `answers` gives "", which is else the reason why not.

        Where `log` says nothing, the program did not even begin, and `fallback` may know why.
        """
        restarts_before = restarts()
        while reason := asyncio.run(_bounded(answers)):
            tries = restarts() - restarts_before
            if tries >= RESTARTS_MAX or time.monotonic() > self.deadline:
                again = f" It was started again {tries} times." if tries else ""
                raise NotReadyError(f"{name} does not answer: {reason}.{again}{tail(log) or tail(fallback)}")
            time.sleep(PAUSE_S)


async def _bounded(answers: Question) -> str:
    try:
        return await asyncio.wait_for(answers(), ANSWER_TIMEOUT_S)
    except TimeoutError:
        return f"no answer within {ANSWER_TIMEOUT_S} s"


def tail(log: Path | None, lines: int = LOG_LINES) -> str:
    """The last lines of a log, ready to be shown below a sentence."""
    last = log.read_text(errors="replace").splitlines()[-lines:] if log and log.exists() else []
    return f" The last lines of {log}:\n" + "\n".join(f"  {line}" for line in last) if last else ""


async def postgres_answers(url: str) -> str:
    """Empty once PostgreSQL takes our connection."""
    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_TIMEOUT_S)
    except asyncpg.InvalidPasswordError as error:
        raise WrongPasswordError(
            "PostgreSQL refuses our password: its data was made with another POSTGRES_PASSWORD than .env has now. "
            "Put the old one back, or choose another DATA_DIR."
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        return str(error) or type(error).__name__
    await connection.close()
    return ""


async def redis_answers(url: str) -> str:
    """Empty once Redis answers PING."""
    client = Redis.from_url(
        url, socket_timeout=ANSWER_TIMEOUT_S, socket_connect_timeout=ANSWER_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return str(error) or type(error).__name__
    finally:
        await client.aclose()
    return ""


async def gateway_answers(url: str) -> str:
    """Empty once the gateway says that it can accept an event and make it durable."""
    status, body = await asyncio.to_thread(ask, url)
    return "" if status == 200 else body


async def workers_answer(port: int, pids: Collection[int]) -> str:
    """Empty once each of these workers says that it reads. They share the port, and any of them may take a question."""
    if port == 0:
        return ""
    ready: set[int] = set()
    reason = "none was asked"
    for _ in range(QUESTIONS_PER_WORKER * len(pids)):
        status, body = await asyncio.to_thread(ask, f"http://{HOST}:{port}")
        if status == 200:
            ready.add(int(json.loads(body)["pid"]))
        reason = body
        if ready >= set(pids):
            return ""
    return f"{len(ready & set(pids))} of {len(pids)} workers are ready ({reason})" if pids else ""


def ask(url: str, path: str = "/readyz") -> tuple[int, str]:
    """The status and text of a page; 0 and the reason where there is no answer. Asks itself, not a proxy."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()
