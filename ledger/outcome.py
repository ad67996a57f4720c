"""The result of applying a batch of events to the ledger."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from contract.event import Event
from contract.facts import Fact

EventFact: TypeAlias = "tuple[Event, Fact]"
"""A fact, and the event that reported it."""


@dataclass(slots=True)
class Outcome:
    """Facts that have just become true, each for the first time; and per source, how many could not be booked, and how
    many events left out what money needs, or are of the other mode than their source. `asked`: the events that their
    provider's API is asked about.
    """

    happened: list[EventFact] = field(default_factory=list)
    conflicts: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)
    incomplete: Counter[str] = field(default_factory=Counter)
    other_mode: Counter[str] = field(default_factory=Counter)
    asked: list[Event] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Add another one's facts and numbers."""
        self.happened.extend(other.happened)
        self.conflicts.update(other.conflicts)
        self.held_back.update(other.held_back)
        self.incomplete.update(other.incomplete)
        self.other_mode.update(other.other_mode)
        self.asked.extend(other.asked)
