"""Whether the server behind a connection takes and keeps the events of some partitions."""

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib import resources

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from contract.keys import NUMBERS_OF_PARTITION, Keys, read_partitions
from gateway.settings import Settings
from runtime.addresses import Server
from runtime.durability import (
    CONFIG_NAMES,
    Guarantee,
    NotDurableError,
    check_durability,
    following,
    has_unheard_replica,
)
from runtime.redis_connection import place_of, single_connection
from runtime.redis_masters import ANSWERS_WITHIN_S
from runtime.redis_wire import Command, OwnConnection, Reply, describe_reply, exchange

PROBE = resources.files("gateway").joinpath("probe.lua").read_bytes()
PROBE_SHA = hashlib.sha1(PROBE, usedforsecurity=False).hexdigest()

CHECK: tuple[Command, ...] = (("INFO",), ("CONFIG", "GET", *CONFIG_NAMES), ("COMMAND", "INFO", "WAITAOF"))

ASK_ALL: Command = ("WAIT", 1_000_000, 1)
"""Lets a master ask all its replicas how far they are: fewer than these will answer, so that it waits for a moment."""


class ServerCheck:
    """Asks a server about everything that publishing needs. There is one for all connections to it."""

    def __init__(self, settings: Settings, partitions: Sequence[Keys]) -> None:
        """`partitions`: those that are written there."""
        self._settings = settings
        self._first = partitions[0].partition
        self.place = place_of(settings.redis_url, self._first)
        self.may_move = self.place is not None and self.place.moves
        """Whether another server may take its place."""
        self._following: frozenset[Server] | None = None
        """The replicas that confirm what is written there, as of the last check."""
        self._left_at_s = math.inf
        """Since when one of them is known to have left."""
        self._are_read = False
        """Whether workers read all partitions, as of the last answer."""
        self._keys = Keys(settings.key_prefix)
        # Each right is one of its own; the first leaves the script in the server's cache.
        self._probes: list[Command] = [("EVAL", PROBE, *_probed(partitions[0]))]
        self._probes += [("EVALSHA", PROBE_SHA, *_probed(keys)) for keys in partitions]

    def new_connection(self, partition: int | None = None) -> OwnConnection:
        """Return a connection to the server, or to that of another partition, not yet connected."""
        partition = self._first if partition is None else partition
        return single_connection(self._settings.redis_url, partition, connect_timeout_s=self._settings.redis_timeout_s)

    async def run(self, connection: OwnConnection) -> Guarantee:
        """Return what the server behind a connection guarantees. Raises NotDurableError, RedisError."""
        if not connection.is_connected:
            await connection.connect()  # type: ignore[no-untyped-call]
        info, config, waitaof, *probes = await exchange(connection, (*CHECK, *self._probes))
        connects = connection.connects
        if isinstance(info, ResponseError):
            raise NotDurableError(f"Redis does not answer INFO, so its durability is unknown: {describe_reply(info)}")
        facts = _info(info)
        if self.may_move and has_unheard_replica(facts):
            _, info = await exchange(connection, [ASK_ALL, ("INFO",)])
            facts = _info(info)
        guarantee = check_durability(
            self._settings.durability,
            self._settings.replicas,
            facts,
            None if isinstance(config, ResponseError) else _pairs(config),
            has_waitaof=isinstance(waitaof, list) and any(waitaof),
            any_may_be_promoted=self.may_move,
        )
        if self.may_move and guarantee.replicas:
            await self._require_all_replicas(frozenset(following(facts)), connection.target)
        if questions := guarantee.confirm_commands(1):  # nothing waits: this connection has written nothing
            probes += await exchange(connection, questions[-1:])
        for probe in probes:
            if isinstance(probe, ResponseError):
                raise NotDurableError(f"Redis refuses what publishing needs: {describe_reply(probe)}")
        if self._settings.partitions > 1:
            await self._check_partitions(connection)
        if connection.connects != connects:
            raise RedisConnectionError("the connection was lost before all was asked")
        return guarantee

    async def _check_partitions(self, connection: OwnConnection) -> None:
        """Raise NotDurableError where there are more partitions than workers read: nobody might read the others."""
        question: Command = ("HGET", self._keys.partitions, "read")  # where partition 0 is
        if self._first == 0:
            (stored,) = await exchange(connection, [question])
        else:
            try:
                stored = await self._ask_elsewhere(question)
            except (RedisError, OSError):
                if self._are_read:  # a node that fails does not stop the partitions of others
                    return
                raise
        self._are_read = False
        if isinstance(stored, ResponseError):
            raise NotDurableError(f"Redis refuses to say how many partitions are read: {describe_reply(stored)}")
        if (read := read_partitions(stored)) < self._settings.partitions:
            raise NotDurableError(
                f"PARTITIONS is {self._settings.partitions} here, and workers read {read}: what is written to the "
                f"others might wait for ever. `make partitions N={self._settings.partitions}` lets workers read them, "
                "or a worker with that setting"
            )
        self._are_read = True

    async def _ask_elsewhere(self, question: Command) -> Reply:
        """Return the answer of partition 0's server. Raises RedisError, OSError."""
        other = self.new_connection(0)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                (reply,) = await exchange(other, [question])
        finally:
            await other.disconnect(nowait=True)
        return reply

    async def _require_all_replicas(self, now: frozenset[Server], server: Server | None) -> None:
        """Let other replicas confirm than before only if those that have left, have not left to be promoted.

        The next master is one that did confirm, else it would lack what was confirmed without it. Raises
        NotDurableError.
        """
        if have_left(self._following, now, server):
            self._left_at_s = min(self._left_at_s, asyncio.get_running_loop().time())
            if self.place is not None and not await self.place.is_settled(self._left_at_s):
                raise NotDurableError("a replica of Redis may be about to become the master, and would lack the event")
        self._following, self._left_at_s = now, math.inf


def have_left(before: AbstractSet[Server] | None, now: AbstractSet[Server], server: Server | None) -> bool:
    """Return whether a replica may have left, and not to be the server that is the master now."""
    return before is None or bool(before - now - {server})


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
