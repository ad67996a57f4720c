"""What booking a batch brought about."""

from collections import Counter
from dataclasses import dataclass, field

from contract.event import Event
from contract.facts import Fact

Happened = tuple[Event, Fact]


@dataclass(slots=True)
class Outcome:
    """What a batch brought about: facts that are true now and were not before; by source, what could not be booked."""

    happened: list[Happened] = field(default_factory=list)
    conflicts: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)
