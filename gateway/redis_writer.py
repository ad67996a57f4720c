"""The one connection to Redis, never used before its server has shown that it can keep what it is given."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from gateway.durability import CONFIG_NAMES, CannotPromiseError, Promise, Wanted, judge

Command = Sequence[str | bytes | int]
Replies = list[Any]
"""What Redis answered: bytes, int, None, lists of them, or the ResponseError it answered with."""

CHECK: tuple[Command, ...] = (("INFO",), ("CONFIG", "GET", *CONFIG_NAMES), ("COMMAND", "INFO", "WAITAOF"))

OnState = Callable[[Promise | None, str], None]


class PublishUnavailableError(Exception):
    """The event is not known to be durable: the sender should retry. The sentence is for the log and /readyz."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Where Redis is, what is asked of it, and how long an exchange and, within it, a proof of durability may take."""

    url: str = field(repr=False)
    wanted: Wanted
    replicas: int
    timeout_s: float
    proof_timeout_s: float


class Link:
    """One connection, one exchange at a time. After any doubt about its state it is dropped and made anew.

    `on_state(promise, reason)` hears of every change: what the server promises now, or why it promises nothing.
    """

    def __init__(self, settings: LinkSettings, on_state: OnState) -> None:
        self._settings = settings
        self._connection = _connection(settings)
        self._on_state = on_state
        self._lock = asyncio.Lock()
        self._checked_at_s = 0.0
        self.promise: Promise | None = None
        self.reason = "Redis has not been asked yet"

    async def check(self, age_s_max: float = 0) -> None:
        """Judge the server again, unless that was done less than `age_s_max` ago. The outcome: `promise`, `reason`."""
        async with self._lock:
            if self.promise is not None and time.monotonic() - self._checked_at_s < age_s_max:
                return
            with contextlib.suppress(PublishUnavailableError):  # already told to on_state
                async with self._exchange():
                    await self._judge()

    async def durable(self, command: Callable[[Promise], Command]) -> tuple[Any, Promise]:
        """Run one writing command: its reply, once what it wrote is durable, and the promise that says how durable.

        Raises PublishUnavailableError: it was not written, or nobody knows; or the ResponseError it was answered with.
        """
        async with self._lock, self._exchange():
            promise = self.promise if self.promise and self._connection.is_connected else await self._judge()
            proof = promise.proof_command(round(self._settings.proof_timeout_s * 1000))
            replies = await self._send([command(promise), proof] if proof else [command(promise)])
            for reply in replies:
                if isinstance(reply, ResponseError):
                    raise reply
            doubts = promise.doubts(replies[1]) if proof else ""
            if doubts:
                raise PublishUnavailableError(doubts)
            return replies[0], promise

    async def ask(self, command: Command) -> Any:  # noqa: ANN401 -- what Redis answers depends on the command
        """Run one reading command and return its reply. Raises PublishUnavailableError, or its ResponseError."""
        async with self._lock, self._exchange():
            if not self._connection.is_connected:
                await self._judge()
            (reply,) = await self._send([command])
            if isinstance(reply, ResponseError):
                raise reply
            return reply

    async def close(self) -> None:
        """End the connection."""
        async with self._lock:
            await self._connection.disconnect(nowait=True)

    @contextlib.asynccontextmanager
    async def _exchange(self) -> AsyncIterator[None]:
        """Bounds an exchange in time and turns whatever goes wrong into a sentence."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                yield
        except CannotPromiseError as error:
            self._refuse(str(error))
            raise PublishUnavailableError(str(error)) from error
        except ResponseError as error:  # every reply was read: the connection is sound
            if isinstance(error, OutOfMemoryError | ReadOnlyError):
                self._refuse(f"Redis refuses to write: {error}")
            raise
        except (RedisError, OSError, EOFError, RuntimeError) as error:  # uvloop's word for a closed connection
            await self._connection.disconnect(nowait=True)
            sentence = f"Redis cannot be reached, or did not answer: {str(error) or type(error).__name__}"
            self._refuse(sentence)
            raise PublishUnavailableError(sentence) from error
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise

    async def _judge(self) -> Promise:
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]
        info, config, waitaof = await self._send(CHECK)
        if isinstance(info, ResponseError):
            raise CannotPromiseError(f"Redis does not answer INFO, so nothing is known about it: {info}")
        promise = judge(
            self._settings.wanted,
            self._settings.replicas,
            _info(info),
            None if isinstance(config, ResponseError) else _pairs(config),
            has_waitaof=isinstance(waitaof, list) and any(waitaof),
        )
        self._checked_at_s = time.monotonic()
        if promise != self.promise:
            self.promise, self.reason = promise, ""
            self._on_state(promise, "")
        return promise

    def _refuse(self, reason: str) -> None:
        if self.promise is not None or reason != self.reason:
            self.promise, self.reason = None, reason
            self._on_state(None, reason)

    async def _send(self, commands: Sequence[Command]) -> Replies:
        """Sends the commands in one write and reads every reply; an error that the server answers is a reply."""
        # redis-py packs in Python, which takes longer than all the rest of an exchange
        packed = [pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
        try:
            await self._connection.send_packed_command(packed, check_health=False)
        except AttributeError as error:  # how asyncio's own event loop, before Python 3.13.6, says that it is closed
            raise ConnectionError("the connection is closed") from error
        return [await self._read() for _ in commands]

    async def _read(self) -> Any:  # noqa: ANN401
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error


def _connection(settings: LinkSettings) -> AbstractConnection:
    """Nothing is retried below us, and replies stay bytes. How long anything may take is `Link._exchange`'s to say: a
    `socket_timeout` beside it would put each write into a task of its own, a turn of a busy event loop later.
    """
    pool = ConnectionPool.from_url(
        settings.url,
        max_connections=1,
        socket_timeout=None,
        socket_connect_timeout=settings.timeout_s,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=False,
    )
    return cast("AbstractConnection", pool.make_connection())  # type: ignore[no-untyped-call]


def _info(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _pairs(reply: Sequence[bytes]) -> Mapping[str, str]:
    texts = [item.decode(errors="replace") for item in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))
