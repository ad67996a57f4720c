"""One connection to Redis that is never written to before its server has shown that it keeps what it is given."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from gateway.settings import Settings
from runtime.durability import CONFIG_NAMES, Guarantee, NotDurableError, check_durability
from runtime.redis_connection import Command, exchange, single_connection

CHECK: tuple[Command, ...] = (("INFO",), ("CONFIG", "GET", *CONFIG_NAMES), ("COMMAND", "INFO", "WAITAOF"))

OnGuarantee = Callable[[Guarantee | None, str], None]


class RedisUnavailableError(Exception):
    """Redis did not confirm: an event is not known to be durable, and its sender should retry.

    The message is a sentence for the log and /readyz.
    """


class RedisWriter:
    """One connection with one exchange at a time. After any error that may leave it out of step it is made anew.

    `on_change(guarantee, reason)` is called with every change: what the server guarantees now, or why it does not.
    """

    def __init__(self, settings: Settings, on_change: OnGuarantee | None = None) -> None:
        self._settings = settings
        self._connection = single_connection(settings.redis_url, connect_timeout_s=settings.redis_timeout_s)
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._checked_at_s = 0.0
        self.guarantee: Guarantee | None = None
        self.reason = "Redis has not been asked yet"

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._connection.is_connected)

    async def check(self, age_s_max: float = 0) -> None:
        """Check the server's durability, unless that was done less than `age_s_max` ago; set `guarantee`, `reason`."""
        async with self._lock:
            if self.guarantee is not None and time.monotonic() - self._checked_at_s < age_s_max:
                return
            with contextlib.suppress(RedisUnavailableError):  # on_change has the reason
                async with self._exchange():
                    await self._check()

    async def write(self, command: Callable[[Guarantee], Command]) -> tuple[Any, Guarantee]:
        """Run one writing command; return its reply once the write is durable, and the guarantee that applied.

        Raise RedisUnavailableError where it was not written or may not be durable, or the command's ResponseError.
        """
        async with self._lock, self._exchange():
            guarantee = self.guarantee if self.guarantee and self._connection.is_connected else await self._check()
            confirm = guarantee.confirm_command(round(self._settings.durability_timeout_s * 1000))
            commands = [command(guarantee), confirm] if confirm else [command(guarantee)]
            replies = await exchange(self._connection, commands)
            for reply in replies:
                if isinstance(reply, ResponseError):
                    raise reply
            unconfirmed = guarantee.unconfirmed_reason(replies[1]) if confirm else ""
            if unconfirmed:
                raise RedisUnavailableError(unconfirmed)
            return replies[0], guarantee

    async def read(self, command: Command) -> Any:  # noqa: ANN401 -- the type of the reply depends on the command
        """Run one reading command and return its reply. Raise RedisUnavailableError, or its ResponseError."""
        async with self._lock, self._exchange():
            if not self._connection.is_connected:
                await self._check()
            (reply,) = await exchange(self._connection, [command])
            if isinstance(reply, ResponseError):
                raise reply
            return reply

    async def close(self) -> None:
        """End the connection."""
        async with self._lock:
            await self._connection.disconnect(nowait=True)

    @contextlib.asynccontextmanager
    async def _exchange(self) -> AsyncIterator[None]:
        """Bound an exchange in time and turn every failure into a sentence."""
        try:
            async with asyncio.timeout(self._settings.redis_timeout_s):
                yield
        except NotDurableError as error:
            self._withdraw_guarantee(str(error))
            raise RedisUnavailableError(str(error)) from error
        except ResponseError as error:  # every reply was read: the connection is in step
            if isinstance(error, OutOfMemoryError | ReadOnlyError):
                self._withdraw_guarantee(f"Redis refuses to write: {error}")
            raise
        except (RedisError, OSError, EOFError, RuntimeError) as error:  # RuntimeError: uvloop, for a closed connection
            await self._connection.disconnect(nowait=True)
            sentence = f"Redis cannot be reached, or did not answer: {str(error) or type(error).__name__}"
            self._withdraw_guarantee(sentence)
            raise RedisUnavailableError(sentence) from error
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise

    async def _check(self) -> Guarantee:
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]
        info, config, waitaof = await exchange(self._connection, CHECK)
        if isinstance(info, ResponseError):
            raise NotDurableError(f"Redis does not answer INFO, so its durability is unknown: {info}")
        guarantee = check_durability(
            self._settings.durability,
            self._settings.replicas,
            _info(info),
            None if isinstance(config, ResponseError) else _pairs(config),
            has_waitaof=isinstance(waitaof, list) and any(waitaof),
        )
        self._checked_at_s = time.monotonic()
        if guarantee != self.guarantee:
            self.guarantee, self.reason = guarantee, ""
            self._changed()
        return guarantee

    def _withdraw_guarantee(self, reason: str) -> None:
        if self.guarantee is not None or reason != self.reason:
            self.guarantee, self.reason = None, reason
            self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self.guarantee, self.reason)


def _info(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _pairs(reply: Sequence[bytes]) -> Mapping[str, str]:
    texts = [item.decode(errors="replace") for item in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))
