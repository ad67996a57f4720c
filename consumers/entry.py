"""An entry as it was read: the envelope, or why it is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contract.event import EnvelopeError, Event, from_fields


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream entry and how often it was delivered. `fields` are kept as they are, for the dead letters."""

    entry_id: str
    deliveries: int
    event: Event
    fields: Mapping[bytes, bytes] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """What its values take in memory."""
        return sum(map(len, self.fields.values()))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that is no envelope of this version."""

    entry_id: str
    deliveries: int
    problem: EnvelopeError
    fields: Mapping[bytes, bytes] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """What its values take in memory."""
        return sum(map(len, self.fields.values()))


def read_entry(entry_id: bytes, deliveries: int, fields: Mapping[bytes, bytes]) -> Entry | Unreadable:
    """Decodes one entry. Never raises: what cannot be read becomes `Unreadable`."""
    try:
        return Entry(entry_id.decode(), deliveries, from_fields(fields), fields)
    except EnvelopeError as problem:
        return Unreadable(entry_id.decode(), deliveries, problem, fields)
