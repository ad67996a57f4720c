"""One connection to Redis that is never written to before its server has shown that it takes and keeps events."""

import asyncio
import contextlib
import hashlib
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import structlog
from redis.exceptions import NoScriptError, RedisError, ResponseError

from contract.keys import NUMBERS_OF_PARTITION, Keys, read_partitions
from gateway.settings import Settings
from runtime.durability import CONFIG_NAMES, Guarantee, NotDurableError, check_durability
from runtime.redis_connection import place_of, single_connection
from runtime.redis_places import until_replaced
from runtime.redis_wire import Command, OwnConnection, describe_reply, exchange

PROBE = resources.files("gateway").joinpath("probe.lua").read_bytes()
PROBE_SHA = hashlib.sha1(PROBE, usedforsecurity=False).hexdigest()

CHECK: tuple[Command, ...] = (("INFO",), ("CONFIG", "GET", *CONFIG_NAMES), ("COMMAND", "INFO", "WAITAOF"))

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

    def __init__(self, settings: Settings, partitions: Sequence[Keys], on_change: OnGuarantee | None = None) -> None:
        """`partitions`: those that are written here; all are on one server."""
        self._settings = settings
        self._first = partitions[0].partition
        self._place = place_of(settings.redis_url, self._first)
        self._replicas = ("", 0)
        """A server, and how many replicas confirm what is written there."""
        self._connection = self._new_connection()
        self._keys = Keys(settings.key_prefix)
        # Each right is one of its own; the first leaves the script in the server's cache.
        self._probes: list[Command] = [("EVAL", PROBE, *_probed(partitions[0]))]
        self._probes += [("EVALSHA", PROBE_SHA, *_probed(keys)) for keys in partitions]
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._check_lock = asyncio.Lock()
        self._checked_at_s = -math.inf
        self.guarantee: Guarantee | None = None
        self.reason = "Redis has not been asked yet"

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._connection.is_connected)

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
            guarantee = (
                self.guarantee if self.guarantee and self._connection.is_connected else await self._check_connection()
            )
            confirm = guarantee.confirm_command(round(self._settings.durability_timeout_s * 1000))
            commands = make(guarantee)
            replies = await exchange(self._connection, [*commands, confirm] if confirm else commands)
            for reply in replies:
                if isinstance(reply, ResponseError) and not isinstance(reply, NoScriptError):
                    raise reply
            unconfirmed = guarantee.unconfirmed_reason(replies[-1]) if confirm else ""
            if unconfirmed:
                raise RedisUnavailableError(unconfirmed)
            if self._place is not None:
                await self._place.require(self._connection.target)
            return replies[: len(commands)], guarantee

    async def read(self, command: Command) -> Any:  # noqa: ANN401 -- the type of the reply depends on the command
        """Run one reading command and return its reply. Raise RedisUnavailableError, or its ResponseError."""
        (reply,) = await self.read_all([command])
        return reply

    async def read_all(self, commands: Sequence[Command]) -> list[Any]:
        """Run reading commands in one exchange and return their replies. Raise as `read` does."""
        async with self._lock, self._exchange():
            if self.guarantee is None or not self._connection.is_connected:
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
        connection = self._new_connection()
        try:
            async with asyncio.timeout(min(self._settings.redis_timeout_s, self._settings.durability_check_s)):
                return connection, await self._check(connection)
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
        guarantee = await self._check(self._connection)
        self._accept(guarantee)
        return guarantee

    async def _check(self, connection: OwnConnection) -> Guarantee:
        """Return what the server behind a connection guarantees. Raises NotDurableError, RedisError."""
        if not connection.is_connected:
            await connection.connect()  # type: ignore[no-untyped-call]
        info, config, waitaof, *probes = await exchange(connection, (*CHECK, *self._probes))
        if isinstance(info, ResponseError):
            raise NotDurableError(f"Redis does not answer INFO, so its durability is unknown: {describe_reply(info)}")
        guarantee = check_durability(
            self._settings.durability,
            self._settings.replicas,
            _info(info),
            None if isinstance(config, ResponseError) else _pairs(config),
            has_waitaof=isinstance(waitaof, list) and any(waitaof),
            any_may_be_promoted=self._place is not None and self._place.moves,
        )
        await self._require_all_replicas(guarantee)
        confirm = guarantee.confirm_command(1)
        if confirm:  # nothing waits: this connection has written nothing
            probes += await exchange(connection, [confirm])
        for probe in probes:
            if isinstance(probe, ResponseError):
                raise NotDurableError(f"Redis refuses what publishing needs: {describe_reply(probe)}")
        if self._settings.partitions > 1:
            await self._check_partitions(connection)
        return guarantee

    async def _check_partitions(self, connection: OwnConnection) -> None:
        """Raise NotDurableError where there are more partitions than workers read: nobody might read the others."""
        question: Command = ("HGET", self._keys.partitions, "read")  # where partition 0 is
        if self._first == 0:
            (stored,) = await exchange(connection, [question])
        else:
            other = self._new_connection(0)
            try:
                (stored,) = await exchange(other, [question])
            finally:
                await other.disconnect(nowait=True)
        if isinstance(stored, ResponseError):
            raise NotDurableError(f"Redis refuses to say how many partitions are read: {describe_reply(stored)}")
        if (read := read_partitions(stored)) < self._settings.partitions:
            raise NotDurableError(
                f"PARTITIONS is {self._settings.partitions} here, and workers read {read}: what is written to the "
                f"others might wait for ever. `make partitions N={self._settings.partitions}` lets workers read them, "
                "or a worker with that setting"
            )

    async def _require_all_replicas(self, guarantee: Guarantee) -> None:
        """Let fewer replicas confirm than before only if the others have not left to be promoted.

        The next master is one that did confirm, else it would lack what was confirmed without it. Raises
        NotDurableError.
        """
        if self._place is None or not self._place.moves or not guarantee.replicas:
            return
        run_id, replicas = self._replicas
        is_known = run_id == guarantee.run_id and replicas <= guarantee.replicas
        if not is_known and not await self._place.is_settled():
            raise NotDurableError("a replica of Redis may be about to become the master, and would lack the event")
        self._replicas = (guarantee.run_id, guarantee.replicas)

    def _new_connection(self, partition: int | None = None) -> OwnConnection:
        partition = self._first if partition is None else partition
        return single_connection(self._settings.redis_url, partition, connect_timeout_s=self._settings.redis_timeout_s)

    def _accept(self, guarantee: Guarantee) -> None:
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


def _probed(keys: Keys) -> tuple[str | int, ...]:
    """Return the keys and the argument of probe.lua. There is no marker of an event without namespace and id."""
    first_number = keys.partition * NUMBERS_OF_PARTITION
    return (4, keys.events, keys.epoch, keys.seen("", ""), keys.account, first_number)


def _info(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _pairs(reply: Sequence[bytes]) -> Mapping[str, str]:
    texts = [item.decode(errors="replace") for item in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))
