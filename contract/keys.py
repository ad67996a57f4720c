"""Every key in Redis. One hash tag per partition, so that Redis Cluster keeps a partition's keys on one node."""

import re
from dataclasses import dataclass, replace
from zlib import crc32

GROUP = "payments"
"""The consumer group on each events stream."""

PREFIX_DEFAULT = "payments"

NAMESPACE_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Namespaces and source names: no colon, so that `<namespace>:<id>` can be read back only one way."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one partition. `prefix` lets several installations, or tests, share a server."""

    prefix: str = PREFIX_DEFAULT
    partition: int = 0

    def of(self, partition: int) -> "Keys":
        """Return the keys of another partition of the same installation."""
        return replace(self, partition=partition)

    @property
    def stream_name(self) -> str:
        """The name by which Postgres knows this stream: the prefix, with the partition's number where that is not 0."""
        return self._tag if self.partition else self.prefix

    @property
    def partitions(self) -> str:
        """A hash of the whole installation, below partition 0: `read`, the number of partitions that workers read; and
        `routed`, the number that `make partitions` chose last."""
        return f"{self.prefix}:{{0}}:partitions"

    @property
    def members(self) -> str:
        """A hash of the whole installation, below partition 0: the token of each worker process → when it expires."""
        return f"{self.prefix}:{{0}}:members"

    @property
    def events(self) -> str:
        """The stream. Entries are deleted once committed and acknowledged: its length is the backlog."""
        return f"{self._tag}:events"

    @property
    def epoch(self) -> str:
        """The id of the first entry since this stream was created; a wiped Redis starts a new epoch."""
        return f"{self._tag}:epoch"

    @property
    def account(self) -> str:
        """A hash: what Redis itself knows of the account of its entries (docs/decisions/0018-restored-servers.md).

        `restores`: how often Postgres was restored; markers of commits before the last time do not count.
        """
        return f"{self._tag}:account"

    @property
    def applied(self) -> str:
        """A hash, consumer → `<namespace>:<event id>` of the event it acknowledged last, which Postgres must have."""
        return f"{self._tag}:applied"

    @property
    def failures(self) -> str:
        """A hash, entry id → why the entry still waits (JSON), for `make pending`."""
        return f"{self._tag}:failures"

    @property
    def begun(self) -> str:
        """A hash, worker → the attempts it has begun, as `<entry id>=<attempt> …`: read when it has died."""
        return f"{self._tag}:begun"

    def seen(self, namespace: str, event_id: str) -> str:
        """The duplicate marker: the entry id, then `committed`. Expires."""
        return f"{self._tag}:seen:{namespace}:{event_id}"

    def lock(self, namespace: str, resource: str) -> str:
        """The resource lock: the holder's token. Expires."""
        return f"{self._tag}:lock:{namespace}:{resource}"

    def slot(self, number: int) -> str:
        """The lease of one worker slot: the worker's token. Expires."""
        return f"{self._tag}:slot:{number}"

    @property
    def _tag(self) -> str:
        return f"{self.prefix}:{{{self.partition}}}"


PARTITIONS_MAX = 256
"""The most partitions of an installation."""

NUMBERS_OF_PARTITION = 10**12
"""The ids `<milliseconds>-<number>` of partition p have numbers from p times this on, so that no two entries of an
installation have the same id, and each id says where its entry is. Lua's numbers hold 256 times this exactly."""


def partition_of(namespace: str, resource: str, partitions: int) -> int:
    """Return the partition of a resource's events: the same in every process, on every machine, in every version."""
    return crc32(f"{namespace}:{resource}".encode(errors="surrogatepass")) % partitions if partitions > 1 else 0


def partition_of_entry(entry_id: str) -> int:
    """Return the partition that an entry is in, or was."""
    return entry_number(entry_id)[1] // NUMBERS_OF_PARTITION


def read_partitions(stored: bytes | str | None) -> int:
    """Return the number of partitions that a field of the hash `Keys.partitions` says; 1 where it says nothing."""
    return min(max(int(stored or 1), 1), PARTITIONS_MAX)


class Partitions:
    """The partitions among which events are routed: all events about one resource go into the same one."""

    def __init__(self, prefix: str = PREFIX_DEFAULT, count: int = 1) -> None:
        self.all = tuple(Keys(prefix, number) for number in range(count))

    def keys_of(self, namespace: str, resource: str) -> Keys:
        """Return the keys of the partition of a resource's events."""
        return self.all[partition_of(namespace, resource, len(self.all))]


COMMITTED = b"committed"
"""The value of a duplicate marker after the event's transaction is committed; before that, it is the entry id.

After Postgres was restored from an older copy n times it is `committed:<n>`, so that older markers do not count.
"""


def committed_marker(restores: int) -> bytes:
    """Return the value of the marker of an event committed now."""
    return b"%s:%d" % (COMMITTED, restores) if restores else COMMITTED


def is_committed(marker: bytes) -> bool:
    """Return whether a marker says that its event was committed, before or after a restore."""
    return marker.startswith(COMMITTED)


def entry_number(entry_id: str) -> tuple[int, int]:
    """Return an entry id as two numbers, which compare as Redis does: `9-0` is before `10-0`."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
