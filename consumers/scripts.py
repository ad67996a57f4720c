"""The scripts in `lua/`, with one typed method for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from consumers.restored import AccountState
from contract.keys import GROUP, Keys, committed_marker

_LUA = Path(__file__).parent / "lua"


class Scripts:
    """The scripts of one partition. Each one's contract is at the top of its .lua file."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._keys = keys
        self._scripts = {path.stem: redis.register_script(path.read_text()) for path in sorted(_LUA.glob("*.lua"))}

    async def make_group(self) -> bool:
        """Return whether it had to be made."""
        keys = [self._keys.events, self._keys.epoch, self._keys.account]
        return bool(await self._call("make_group", keys, GROUP))

    async def read(self, consumer: str, *, count: int, page: int, bytes_max: int) -> list[tuple[bytes, list[bytes]]]:
        """Return new entries: ids and flat fields."""
        reply = await self._call("read", [self._keys.events], GROUP, consumer, count, page, bytes_max)
        return cast("list[tuple[bytes, list[bytes]]]", reply)

    async def acquire_locks(
        self, locks: Sequence[str], token: str, ttl_ms: int, begins: tuple[str, Sequence[str]] | None = None
    ) -> list[bool]:
        """Return for each lock whether the token owns it now.

        `begins`: a field of the record of begun attempts, and for each lock the attempts that begin under it.
        """
        record = [] if begins is None else [self._keys.begun]
        attempts = [] if begins is None else [begins[0], *begins[1]]
        acquired = cast("list[int]", await self._call("acquire_locks", [*locks, *record], token, ttl_ms, *attempts))
        return [bool(is_ours) for is_ours in acquired]

    async def release_locks(self, locks: Sequence[str], token: str) -> int:
        """Return how many the token owned."""
        return cast("int", await self._call("release_locks", locks, token))

    async def heartbeat(
        self, lease: int, consumer: str, token: str, *, slot_ttl_ms: int, lock_ttl_ms: int, locks: Sequence[str],
        entry_ids: Sequence[str],
    ) -> tuple[bool, int, int]:  # fmt: skip
        """Return whether the lease is still the worker's, and how many locks and entries are not."""
        lease_kept, locks_lost, entries_lost = await self._call(
            "heartbeat", [self._keys.events, self._keys.slot(lease), *locks],
            GROUP, consumer, token, slot_ttl_ms, lock_ttl_ms, *entry_ids,
        )  # fmt: skip
        return bool(lease_kept), locks_lost, entries_lost

    async def reclaim(
        self, consumer: str, *, idle_ms_min: int, cursor: str, count: int, quarantine_after: int, bytes_max: int
    ) -> tuple[str, list[tuple[bytes, bytes, int, list[bytes], bytes]], list[bytes]]:
        """Return the next cursor, the reclaimed entries, and the ids that are gone from the stream.

        An entry: its id, the consumer that had it, the attempt that one had begun (0: none), its fields, its note.
        """
        keys = [self._keys.events, self._keys.failures, self._keys.begun]
        cursor_next, taken, gone = await self._call(
            "reclaim", keys, GROUP, consumer, idle_ms_min, cursor, count, quarantine_after, bytes_max
        )
        return cursor_next.decode(), taken, gone

    async def keep_left_attempts(self, consumer: str) -> int:
        """Return how many attempts of the name's last owner are kept."""
        keys = [self._keys.events, self._keys.begun]
        return cast("int", await self._call("keep_left_attempts", keys, GROUP, consumer))

    async def requeue_stranded(
        self, consumer: str, *, idle_ms: int, cursor: str, page: int
    ) -> tuple[str, bool, int]:  # fmt: skip
        """Return the next cursor, whether the stream's numbers show stranded entries, and how many were put back."""
        cursor_next, shown, put_back = await self._call(
            "requeue_stranded", [self._keys.events], GROUP, consumer, idle_ms, cursor, page
        )
        return cursor_next.decode(), shown == 1, put_back

    async def count_attempt(self, consumer: str, attempts: Sequence[tuple[str, int]]) -> list[bool]:
        """Return for each entry whether it may be tried, because no other consumer has it."""
        flat = [value for pair in attempts for value in pair]
        return [bool(kept) for kept in await self._call("count_attempt", [self._keys.events], GROUP, consumer, *flat)]

    async def release_entries(self, consumer: str, idle_ms: int, attempts: Sequence[tuple[str, int]]) -> int:
        """Return how many entries were released."""
        flat = [value for pair in attempts for value in pair]
        keys = [self._keys.events, self._keys.begun]
        return cast("int", await self._call("release_entries", keys, GROUP, consumer, idle_ms, *flat))

    async def record_failure(self, consumer: str, failures: Mapping[str, str]) -> int:
        """Return how many were recorded: none of entries that another worker has reclaimed or acknowledged."""
        flat = [value for pair in failures.items() for value in pair]
        keys = [self._keys.events, self._keys.failures]
        return cast("int", await self._call("record_failure", keys, GROUP, consumer, *flat))

    async def ack_committed(
        self, entry_ids: Sequence[str], markers: Sequence[str], committed_ttl_s: int, locks: Sequence[str], token: str,
        *, consumer: str = "", applied: str = "", restores: int = 0, last_marker: str | None = None,
    ) -> tuple[int, bool]:  # fmt: skip
        """Return how many entries were deleted, and whether the marker of the last ack is still there.

        `applied` is an event that Postgres must have from now on.
        """
        earlier = [last_marker] if last_marker else []
        names = self._keys
        keys = [names.events, names.failures, names.account, names.applied, *markers, *earlier, *locks]
        deleted, is_lost = await self._call(
            "ack_committed", keys, GROUP, committed_marker(restores), committed_ttl_s, token, len(markers),
            len(earlier), consumer, applied, *entry_ids,
        )  # fmt: skip
        return deleted, not is_lost

    async def ack_dead_lettered(self, entry_id: str, marker: str | None) -> bool:
        """Return whether the marker was deleted."""
        keys = [self._keys.events, self._keys.failures, self._keys.account, *([marker] if marker else [])]
        return bool(await self._call("ack_dead_lettered", keys, GROUP, entry_id))

    async def keep_account(self, consumer: str, beat: int, pause_ms: int, epoch: str = "") -> AccountState:
        """Compare the account with what Postgres saw of it, and return what changed."""
        keys = [self._keys.events, self._keys.epoch, self._keys.account, self._keys.applied]
        is_older, confirmed, restores, deleted, note, epoch_now, flat = await self._call(
            "keep_account", keys, GROUP, consumer, beat, pause_ms, epoch
        )
        applied = [text.decode() for text in flat]
        return AccountState(
            bool(is_older), confirmed, restores, deleted, note.decode(), epoch_now.decode(),
            {name: event for name, event in zip(applied[::2], applied[1::2], strict=True) if event},
        )  # fmt: skip

    async def count_restore(self, known: int, number: int, missing: Mapping[str, str]) -> bool:
        """Return whether this caller counted the restore, and no other worker."""
        flat = [value for pair in missing.items() for value in pair]
        keys = [self._keys.account, self._keys.applied]
        return bool(await self._call("count_restore", keys, known, number, *flat))

    async def move_forward(self, entry_id: str) -> bool:
        """Return whether the stream's last id was lower."""
        return bool(await self._call("move_forward", [self._keys.events], entry_id))

    async def join(self, token: str, ttl_ms: int, partitions: int) -> tuple[int, list[str]]:
        """Return how many partitions are to be read, and the tokens of all living worker processes."""
        keys = [self._keys.partitions, self._keys.members]
        read, living = await self._call("join", keys, token, ttl_ms, partitions)
        return read, [member.decode() for member in living]

    async def forget_consumer(self, consumer: str, lease: int, token: str = "") -> bool:
        """Return whether the name is gone."""
        keys = [self._keys.events, self._keys.slot(lease), self._keys.begun]
        return bool(await self._call("forget_consumer", keys, GROUP, consumer, token))

    async def _call(self, name: str, keys: Sequence[str], *args: str | bytes | int) -> Any:  # noqa: ANN401 - Lua's reply
        return await self._scripts[name](keys=list(keys), args=list(args))
