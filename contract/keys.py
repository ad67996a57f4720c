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
    def failures(self) -> str:
        """A hash, entry id → why the entry still waits (JSON), for `make pending`."""
        return f"{self._tag}:failures"

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
"""The value of a duplicate marker after the event's transaction is committed; before that, it is the entry id."""
