"""What was found about an id, as plain data: what Postgres recorded, and what Redis knows now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from consumers.entry import Entry, Unreadable
from contract.facts import Fact
from operations.pending_reason import Failure, Pending


class Subject(NamedTuple):
    """An event or a payment. `id` is an entry's, and the namespace empty, for what was no envelope."""

    namespace: str
    id: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.id}" if self.namespace else f"entry {self.id}"


@dataclass(slots=True)
class Meant:
    """What an id means. The events are also those of the payments, as far as they are known."""

    events: set[Subject] = field(default_factory=set)
    payments: set[Subject] = field(default_factory=set)

    @property
    def several(self) -> list[str]:
        """The namespaces that know it, where there are several."""
        namespaces = {subject.namespace for subject in self.events | self.payments}
        return sorted(namespaces) if len(namespaces) > 1 else []


@dataclass(frozen=True, slots=True)
class Applied:
    """The row in events."""

    source: str
    provider: str
    entry_id: str
    type: str
    resource: str
    signed: str
    occurred_at: datetime | None
    received_at: datetime
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An entry whose event another one had brought."""

    entry_id: str
    source: str
    received_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, open or not."""

    id: int
    entry_id: str
    source: str | None
    type: str | None
    resource: str | None
    state: str
    reason: str
    attempts: int
    died_at: datetime
    state_changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that is in the stream now. `pending` is None where no worker has it."""

    entry_id: str
    entry: Entry | Unreadable
    pending: Pending | None
    is_delivered: bool


@dataclass(frozen=True, slots=True)
class Transfer:
    """A movement of money that was booked."""

    movement: str
    debit_account: str
    credit_account: str
    amount: int
    currency: str
    event_id: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two events that contradict each other about one movement."""

    id: int
    movement: str
    booked_amount: int | None
    booked_currency: str | None
    told_amount: int
    told_currency: str
    event_id: str
    found_at: datetime
    decision: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A fact that may not move money, or might not until it was released."""

    event_id: str
    source: str
    reason: str
    kind: str
    object: str
    amount: int
    currency: str
    held_at: datetime
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """The row in disputes."""

    dispute_id: str
    currency: str
    amount: int
    opened: bool
    won: bool
    lost: bool
    withdrawn: bool
    reinstated: bool


@dataclass(frozen=True, slots=True)
class State:
    """The row in payments."""

    status: str
    currency: str
    amount: int
    captured: int
    refunded: int
    disputed: int
    contradicted: bool
    first_occurred_at: datetime | None
    last_occurred_at: datetime | None


@dataclass(slots=True)
class EventFound:
    """All that is known of one event. `marker` is None where Redis was not asked, "" where it has none."""

    subject: Subject
    applied: Applied | None = None
    facts: Sequence[Fact] = ()
    facts_problem: str | None = None
    duplicates: list[Duplicate] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    marker: str | None = None

    @property
    def entries(self) -> list[Entry]:
        """Those in the stream that can be read."""
        return [each.entry for each in self.waiting if isinstance(each.entry, Entry)]

    @property
    def payment(self) -> Subject | None:
        """The payment it is about, where that is known."""
        resources = [self.applied.resource] if self.applied else []
        resources += [entry.event.resource for entry in self.entries]
        resources += [letter.resource for letter in self.letters if letter.resource]
        return Subject(self.subject.namespace, resources[0]) if resources else None


@dataclass(slots=True)
class PaymentFound:
    """All that is known of one payment."""

    subject: Subject
    state: State | None = None
    transfers: list[Transfer] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    held_back: list[HeldBack] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)


@dataclass(slots=True)
class Found:
    """All of it. `redis` and `postgres` say why one was not asked; `payments` are also those of the events."""

    wanted: str
    events: dict[Subject, EventFound] = field(default_factory=dict)
    payments: dict[Subject, PaymentFound] = field(default_factory=dict)
    redis: str | None = None
    postgres: str | None = None
    ambiguous: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    outage: Failure | None = None
    workers: int = 0
    unread: int = 0

    def event(self, subject: Subject) -> EventFound:
        """The one about this event, made where it is the first to be known."""
        return self.events.setdefault(subject, EventFound(subject))

    def payment(self, subject: Subject) -> PaymentFound:
        """The same for a payment."""
        return self.payments.setdefault(subject, PaymentFound(subject))
