"""A stream entry: a decoded event, or the error that made it undecodable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contract.event import EnvelopeError, Event, from_fields


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry and its delivery count. `fields` are kept unchanged, for the dead letters."""

    entry_id: str
    deliveries: int
    event: Event
    fields: Mapping[bytes, bytes] = field(repr=False)

    @property
    def resource_key(self) -> tuple[str, str]:
        """Namespace and resource: entries with the same key exclude each other."""
        return self.event.namespace, self.event.resource

    @property
    def size_bytes(self) -> int:
        """The memory that its values take."""
        return sum(map(len, self.fields.values()))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that is not an envelope of this version."""

    entry_id: str
    deliveries: int
    problem: EnvelopeError
    fields: Mapping[bytes, bytes] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """The memory that its values take."""
        return sum(map(len, self.fields.values()))


def read_entry(entry_id: bytes, deliveries: int, fields: Mapping[bytes, bytes]) -> Entry | Unreadable:
    """Decode one entry. Never raises: an undecodable one becomes `Unreadable`."""
    try:
        return Entry(entry_id.decode(), deliveries, from_fields(fields), fields)
    except EnvelopeError as problem:
        return Unreadable(entry_id.decode(), deliveries, problem, fields)
