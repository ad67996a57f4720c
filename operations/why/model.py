"""Everything found about an id, as plain data: what Postgres recorded, and what Redis knows now.

The fields of a row's class have the names of its columns; a `movement` is a transfer's key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from consumers.entry import Entry, Unreadable
from contract.facts import Fact
from operations.pending_reason import PendingEntry, RecordedFailure
from operations.reconcile.store import Finding
from operations.why.confirmation_record import ConfirmationRecord


class Subject(NamedTuple):
    """An event or a payment. For an entry that is not an envelope, `id` is the entry's, and the namespace is empty."""

    namespace: str
    id: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.id}" if self.namespace else f"entry {self.id}"


@dataclass(frozen=True, slots=True)
class SearchTime:
    """How long is searched where no index helps."""

    table_s: float = 5.0
    """For each of two tables, from its newest rows on."""
    table_pages: int = 8192
    """Pages per query of such a scan: 64 MiB."""
    stream_s: float = 3.0
    """For a long backlog."""
    scans_events: bool = True
    """Whether events that no other table names are scanned for. A page has found them by an index already."""


FOR_A_COMMAND = SearchTime()
FOR_A_PAGE = SearchTime(table_s=0.05, table_pages=512, stream_s=0.05, scans_events=False)
"""A page of the console answers at once, and says what it left out."""


@dataclass(slots=True)
class Matches:
    """The events and payments that the operator's id matches, and the other events of those payments."""

    events: set[Subject] = field(default_factory=set)
    payments: set[Subject] = field(default_factory=set)

    @property
    def ambiguous_namespaces(self) -> list[str]:
        """The namespaces of the matches if there are several, else empty."""
        namespaces = {subject.namespace for subject in self.events | self.payments}
        return sorted(namespaces) if len(namespaces) > 1 else []


@dataclass(frozen=True, slots=True)
class AppliedEvent:
    """A row of `events`."""

    source: str
    provider: str
    entry_id: str
    type: str
    resource: str
    signed: str
    occurred_at: datetime | None
    received_at: datetime
    committed_at: datetime
    mode: str | None
    account: str
    origin: str
    """`delivery`, or `reconcile`: it was found in the provider's list."""
    is_of_other_mode: bool
    """It is a test event of a live source, or a live one of a test source: it moved no money."""


@dataclass(frozen=True, slots=True)
class DuplicateEntry:
    """A row of `duplicates`: an entry whose event was applied from another entry."""

    entry_id: str
    source: str
    received_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A row of `dead_letters`, open or closed."""

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
class StreamEntry:
    """An entry that is in the stream now. `pending` is None if no worker has it; `has_left`: it has just been acked."""

    entry_id: str
    entry: Entry | Unreadable
    pending: PendingEntry | None
    is_delivered: bool
    has_left: bool = False


@dataclass(frozen=True, slots=True)
class BookedTransfer:
    """A row of `transfers`."""

    movement: str
    debit_account: str
    credit_account: str
    amount: int
    currency: str
    event_id: str
    dispute_id: str | None
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class ConflictRecord:
    """A row of `conflicts`: an event that reports other money for a transfer than is booked, if any is."""

    id: int
    movement: str
    booked_amount: int | None
    booked_currency: str | None
    reported_amount: int
    reported_currency: str
    event_id: str
    found_at: datetime
    decision: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldBackFact:
    """A row of `held_back`: a fact that may not move money, or could not until it was released."""

    event_id: str
    source: str
    reason: str
    kind: str
    object: str
    amount: int
    currency: str
    held_at: datetime
    released_at: datetime | None
    confirmation: str | None = None  # the state of asking about its event


@dataclass(frozen=True, slots=True)
class DisputeRecord:
    """A row of `disputes`."""

    dispute_id: str
    currency: str
    amount: int
    opened: bool
    won: bool
    lost: bool
    withdrawn: bool
    reinstated: bool
    status: str
    disputed: int
    disputed_currency: str
    withdrawn_amount: int
    reinstated_amount: int
    money_currency: str | None


@dataclass(frozen=True, slots=True)
class PaymentState:
    """A row of `payments`."""

    status: str
    currency: str
    amount: int
    captured: int
    captured_outside: int
    refunded: int
    disputed: int
    disputed_currency: str | None
    account: str
    contradicted: bool
    first_occurred_at: datetime | None
    last_occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """A row of `operations`: what a person did to `subject`, such as `dead_letter:7`, or to the events in `details`."""

    id: int
    acted_at: datetime
    actor: str
    face: str
    action: str
    subject: str
    reason: str
    details: dict[str, Any]

    def names(self, list_name: str, value: object) -> bool:
        """Return whether one of the lists in `details` has this value."""
        listed = self.details.get(list_name)
        return isinstance(listed, list) and value in listed


@dataclass(slots=True)
class EventDetails:
    """Everything known of one event. `marker` is None if Redis was not asked, "" if Redis has no marker."""

    subject: Subject
    applied: AppliedEvent | None = None
    facts: Sequence[Fact] = ()
    facts_problem: str | None = None
    duplicates: list[DuplicateEntry] = field(default_factory=list)
    dead_letters: list[DeadLetterRecord] = field(default_factory=list)
    in_stream: list[StreamEntry] = field(default_factory=list)
    marker: str | None = None
    confirmation: ConfirmationRecord | None = None
    findings: list[Finding] = field(default_factory=list)  # of comparisons with the provider's list

    @property
    def readable_entries(self) -> list[Entry]:
        """The entries in the stream that are envelopes."""
        return [each.entry for each in self.in_stream if isinstance(each.entry, Entry)]

    @property
    def payment(self) -> Subject | None:
        """The event's payment, if it is known."""
        resources = [self.applied.resource] if self.applied else []
        resources += [entry.event.resource for entry in self.readable_entries]
        resources += [dead_letter.resource for dead_letter in self.dead_letters if dead_letter.resource]
        resources += [finding.resource for finding in self.findings]
        return Subject(self.subject.namespace, resources[0]) if resources else None


@dataclass(slots=True)
class PaymentDetails:
    """Everything known of one payment."""

    subject: Subject
    state: PaymentState | None = None
    transfers: list[BookedTransfer] = field(default_factory=list)
    conflicts: list[ConflictRecord] = field(default_factory=list)
    held_back: list[HeldBackFact] = field(default_factory=list)
    disputes: list[DisputeRecord] = field(default_factory=list)


@dataclass(slots=True)
class SearchResult:
    """Everything found. `payments` includes those of the events.

    `redis_problem` and `postgres_problem` say why that server was not asked. `ambiguous` has the namespaces if several
    know the id; nothing else is read then.
    """

    id_text: str
    events: dict[Subject, EventDetails] = field(default_factory=dict)
    payments: dict[Subject, PaymentDetails] = field(default_factory=dict)
    acts: list[RecordedAct] = field(default_factory=list)
    """What people did to them, the oldest first."""
    redis_problem: str | None = None
    postgres_problem: str | None = None
    ambiguous: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences about what was searched in part only, or could not be read."""
    searched: list[str] = field(default_factory=list)
    outage: RecordedFailure | None = None
    workers: int = 0
    """Running workers."""
    unread: int = 0
    """Entries that no worker has read yet."""

    def event(self, subject: Subject) -> EventDetails:
        """Return the details of this event, added if it is new."""
        return self.events.setdefault(subject, EventDetails(subject))

    def payment(self, subject: Subject) -> PaymentDetails:
        """Return the details of this payment, added if it is new."""
        return self.payments.setdefault(subject, PaymentDetails(subject))
