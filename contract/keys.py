"""Every key in Redis. One hash tag per partition, so that Redis Cluster keeps a partition's keys on one node."""

import re
from dataclasses import dataclass

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
