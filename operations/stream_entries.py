"""Adding entries to the stream beside the gateway: an event that was dead-lettered, or that was never delivered."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from contract.keys import NUMBERS_OF_PARTITION, Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

_REPLAY = (Path(__file__).parent / "lua" / "replay.lua").read_text()


async def add_entry(
    redis: "Redis", keys: Keys, event: tuple[str, str] | None, fields: Sequence[bytes | str], *, seen_ttl_s: int,
    dead_entry_id: str = "", is_lost: bool = False,
) -> tuple[str, str | None]:  # fmt: skip
    """Add an entry to the stream of `keys`, unless its event is there or committed. Return what `replay.lua` says.

    `event` is its namespace and id, None for an entry that is no envelope. `is_lost`: Postgres, which was restored,
    does not have it, so that a marker which says it is committed does not count. A crash at any point leaves the
    event's marker with the entry, so that adding it again adds nothing. Whether it is on disk is for the caller to ask,
    on the same connection.
    """
    names = [keys.events, keys.epoch, keys.account]
    if event:
        names.append(keys.seen(*event))
    arguments: list[str | bytes | int] = [
        dead_entry_id, seen_ttl_s, keys.partition * NUMBERS_OF_PARTITION, int(is_lost), *fields,
    ]  # fmt: skip
    answer = await redis.register_script(_REPLAY)(keys=names, args=arguments, client=redis)
    outcome, entry_id = cast("list[bytes]", answer)
    return outcome.decode(), entry_id.decode() or None
