"""One connection to Redis that is never written to before its server has shown that it takes and keeps events."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import structlog
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.server_check import ServerCheck
from gateway.settings import Settings
from runtime.durability import Guarantee, NotDurableError
from runtime.redis_places import until_replaced
from runtime.redis_wire import Command, OwnConnection, Reply, describe_reply, exchange

log = structlog.get_logger()

OnGuarantee = Callable[[Guarantee | None, str], None]


class RedisUnavailableError(Exception):
    """Redis did not confirm: an event is not known to be durable, and its sender should retry.

    The message is a sentence for the log and /readyz.
    """


class RedisWriter:
    """One connection with one exchange at a time. It is made anew after any refusal, and after any error that may leave
    it out of step: Redis' address may lead to another server by then.

    `on_change(guarantee, reason)` is called with every change: what the server guarantees now, or why it does not.
    """

    def __init__(self, settings: Settings, server: ServerCheck, on_change: OnGuarantee | None = None) -> None:
        self._settings = settings
        self._server = server
        self._place = server.place
        self._connection = server.new_connection()
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._check_lock = asyncio.Lock()
        self._checked_at_s = -math.inf
        self._is_outdated = False
        """Whether another replica has joined since the server was checked."""
        self.guarantee: Guarantee | None = None
        self.reason = "Redis has not been asked yet"

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._connection.is_connected)

    @property
    def _is_usable(self) -> bool:
        """Whether what was checked is still true: the next exchange leaves a server that was replaced."""
        target = self._connection.target
        is_replaced = self._place is not None and target is not None and self._place.replaced(target)
        return self.guarantee is not None and self.is_connected and not (is_replaced or self._is_outdated)

    async def check(self, age_s_max: float = 0) -> None:
        """Check the durability that Redis guarantees, unless that was done less than `age_s_max` ago.

        A new connection is tried first: the present one may lead to a server that Redis' address has left. Sets
        `guarantee` and `reason`.
        """
        async with self._check_lock:
            if time.monotonic() - self._checked_at_s < age_s_max:
                return
            fresh = await self._connect_anew()
            async with self._lock:
                if fresh is not None:
                    connection, guarantee = fresh
                    await self._connection.disconnect(nowait=True)
                    self._connection = connection
                    self._accept(guarantee)
                else:
                    with contextlib.suppress(RedisUnavailableError):  # on_change has the reason
                        async with self._exchange():
                            await self._check_connection()
            self._checked_at_s = time.monotonic()

    def doubt(self, reason: str) -> None:
        """Forget the guarantee: another connection was refused, or leads to another server. `on_change` is not called.

        Before its next exchange this one connects and checks anew.
        """
        self.guarantee, self.reason, self._checked_at_s = None, reason, -math.inf

    async def write(self, make: Callable[[Guarantee], Sequence[Command]]) -> tuple[list[Any], Guarantee]:
        """Run writing commands in one exchange; return their replies once the writes are durable, and the guarantee.

        A script that the server does not know is a NoScriptError among the replies: it did not run, the others did.
        Raise RedisUnavailableError where something was not written or may not be durable, or a command's ResponseError.
        """
        async with self._lock, self._exchange():
            guarantee = (self.guarantee if self._is_usable else None) or await self._check_connection()
            connects, by_s = self._connection.connects, time.monotonic() + self._settings.durability_timeout_s
            questions = guarantee.confirm_commands(round(self._settings.durability_timeout_s * 1000))
            commands = make(guarantee)
            replies = await exchange(self._connection, [*commands, *questions])
            for reply in (*replies[: len(commands)], replies[-1]):  # a WAIT before a WAITAOF only lets time pass
                if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError):
                    raise reply
            if questions:
                await self._require_confirmed(guarantee, questions[-1], replies[-1], by_s)
            if self._connection.connects != connects:  # another one was neither checked nor waited for
                raise RedisUnavailableError("the connection to Redis was lost before the write was confirmed")
            await self._connection.require()
            return replies[: len(commands)], guarantee

    async def read(self, command: Command) -> Any:  # noqa: ANN401 -- the type of the reply depends on the command
        """Run one reading command and return its reply. Raise RedisUnavailableError, or its ResponseError."""
        (reply,) = await self.read_all([command])
        return reply

    async def read_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run reading commands in one exchange and return their replies. Raise as `read` does."""
        async with self._lock, self._exchange():
            if not self._is_usable:
                await self._check_connection()
            replies = await exchange(self._connection, commands)
            for reply in replies:
                if isinstance(reply, ResponseError):
                    raise reply
            return replies

    async def close(self) -> None:
        """End the connection."""
        async with self._lock:
            await self._connection.disconnect(nowait=True)

    async def _require_confirmed(self, guarantee: Guarantee, question: Command, reply: Reply, by_s: float) -> None:
        """Ask again until the write is confirmed. Raise RedisUnavailableError where it is not in time."""
        while unconfirmed := guarantee.unconfirmed_reason(reply):
            if not isinstance(reply, list) or time.monotonic() >= by_s:
                raise RedisUnavailableError(unconfirmed)
            (reply,) = await exchange(self._connection, [question])
        self._is_outdated = self._server.may_move and guarantee.has_too_few(reply)

    @contextlib.asynccontextmanager
    async def _exchange(self) -> AsyncIterator[None]:
        """Bound an exchange in time and turn every failure into a sentence."""
        try:
            async with asyncio.timeout(self._settings.redis_timeout_s) as limit:
                with until_replaced(self._place, lambda: self._connection.target, limit):
                    yield
        except NotDurableError as error:
            await self._connection.disconnect(nowait=True)
            self._withdraw_guarantee(str(error))
            raise RedisUnavailableError(str(error)) from error
        except ResponseError as error:
            await self._connection.disconnect(nowait=True)
            self._withdraw_guarantee(f"Redis refuses the event: {describe_reply(error)}")
            raise
        except (RedisError, OSError, EOFError, RuntimeError) as error:  # RuntimeError: uvloop, for a closed connection
            await self._connection.disconnect(nowait=True)
            sentence = f"Redis cannot be reached, or did not answer: {str(error) or type(error).__name__}"
            self._withdraw_guarantee(sentence)
            raise RedisUnavailableError(sentence) from error
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise

    async def _connect_anew(self) -> tuple[OwnConnection, Guarantee] | None:
        """Return a new connection, and its server's guarantee; None without either, then the present one decides."""
        connection = self._server.new_connection()
        try:
            async with asyncio.timeout(min(self._settings.redis_timeout_s, self._settings.durability_check_s)):
                return connection, await self._server.run(connection)
        except (NotDurableError, RedisError, OSError, EOFError, RuntimeError) as error:
            await connection.disconnect(nowait=True)
            log.debug("a new connection to Redis cannot be used", reason=str(error) or type(error).__name__)
            return None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _check_connection(self) -> Guarantee:
        """Check the present connection's server; connect anew if it is closed or in doubt."""
        if self.guarantee is None:
            await self._connection.disconnect(nowait=True)
        guarantee = await self._server.run(self._connection)
        self._accept(guarantee)
        return guarantee

    def _accept(self, guarantee: Guarantee) -> None:
        self._is_outdated = False
        if guarantee != self.guarantee:
            self.guarantee, self.reason = guarantee, ""
            self._changed()

    def _withdraw_guarantee(self, reason: str) -> None:
        if self.guarantee is not None or reason != self.reason:
            self.guarantee, self.reason = None, reason
            self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self.guarantee, self.reason)
