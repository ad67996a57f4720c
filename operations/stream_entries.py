"""Adding entries to the stream beside the gateway: an event that was dead-lettered, or that was never delivered."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from redis.exceptions import ConnectionError as RedisConnectionError

from contract.keys import NUMBERS_OF_PARTITION, Keys
from operations.redis_server import is_flushed
from runtime.redis_connection import one_connection

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.redis_wire import OwnConnection

_REPLAY = (Path(__file__).parent / "lua" / "replay.lua").read_text()


class Adding:
    """Adds entries to the stream of one partition, all over one connection."""

    def __init__(self, redis: "Redis", connection: "OwnConnection", keys: Keys) -> None:
        self._redis = redis
        self._connection = connection
        self._connects = connection.connects
        self._keys = keys

    async def add(
        self, event: tuple[str, str] | None, fields: Sequence[bytes | str], *, seen_ttl_s: int,
        dead_entry_id: str = "", is_lost: bool = False,
    ) -> tuple[str, str | None]:  # fmt: skip
        """Add an entry, unless its event is there or committed. Return what `replay.lua` says.

        `event` is its namespace and id, None for an entry that is no envelope. `is_lost`: Postgres, which was restored,
        does not have it, so that a marker which says it is committed does not count. A crash at any point leaves the
        event's marker with the entry, so that adding it again adds nothing.
        """
        names = [self._keys.events, self._keys.epoch, self._keys.account]
        if event:
            names.append(self._keys.seen(*event))
        first_number = self._keys.partition * NUMBERS_OF_PARTITION
        arguments: list[str | bytes | int] = [dead_entry_id, seen_ttl_s, first_number, int(is_lost), *fields]
        answer = await self._redis.register_script(_REPLAY)(keys=names, args=arguments, client=self._redis)
        outcome, entry_id = cast("list[bytes]", answer)
        return outcome.decode(), entry_id.decode() or None

    async def is_kept(self) -> bool:
        """Wait until all that was added is on disk; False if it may not be.

        Raise RedisError if the server is not the master any more, or if another connection took the place of this one:
        WAITAOF says nothing of what that one has not written.
        """
        is_kept = await is_flushed(self._redis)
        await self._connection.require()
        if self._connection.connects != self._connects:
            raise RedisConnectionError("the connection was lost before Redis confirmed that what was added is on disk")
        return is_kept


@asynccontextmanager
async def adding(redis: "Redis", keys: Keys) -> AsyncIterator[Adding]:
    """Yield what adds entries to the stream of `keys`."""
    async with one_connection(redis, keys.events) as (client, connection):
        yield Adding(client, connection, keys)
