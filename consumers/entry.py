"""A stream entry: a decoded event, or the error that made it undecodable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.notes import NO_PAST, Past
from contract.event import EnvelopeError, Event, from_fields


@dataclass(slots=True)
class Entry:
    """One stream entry, and the number of its present or next attempt, from 1.

    `fields` are kept unchanged, for the dead letters. `past` is known of entries that were tried before.

    Never changed, but not frozen, as `contract.event.Event`.
    """

    entry_id: str
    attempt: int
    event: Event
    fields: Mapping[bytes, bytes] = field(repr=False)
    past: Past = NO_PAST
    alone: str = ""
    """Why it is tried alone, in the side lane; '' for most."""
    waits: int = 0
    """How often in a row an attempt ended without counting: the delays grow with it."""

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
    attempt: int
    problem: EnvelopeError
    fields: Mapping[bytes, bytes] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """The memory that its values take."""
        return sum(map(len, self.fields.values()))


def read_entry(
    entry_id: bytes, attempt: int, fields: Mapping[bytes, bytes], past: Past = NO_PAST
) -> Entry | Unreadable:
    """Decode one entry. Never raises: an undecodable one becomes `Unreadable`."""
    try:
        return Entry(entry_id.decode(), attempt, from_fields(fields), fields, past)
    except EnvelopeError as problem:
        return Unreadable(entry_id.decode(), attempt, problem, fields)
