"""What is behind one conflict: who reports which amount, and who decided, when and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from contract.facts import Fact
from ledger.transfers import TRANSFER_RULES
from operations.console.pages.payment import find_events
from operations.console.site import Site
from operations.search import Status
from operations.why.acts import Acts
from operations.why.explain import explain_payment
from operations.why.model import AppliedEvent, BookedTransfer, ConflictRecord, RecordedAct, Subject


@dataclass(frozen=True, slots=True)
class Report:
    """An event that reports an amount for the transfer of the conflict."""

    event_id: str
    event: AppliedEvent | None
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Story:
    """A conflict, open or decided. `transfers` are those that its decision booked."""

    payment: Subject
    conflict: ConflictRecord
    booked_by: BookedTransfer | None
    reports: Sequence[Report] = ()
    act: RecordedAct | None = None
    transfers: list[BookedTransfer] = field(default_factory=list)

    def side(self, amount: int | None, currency: str | None) -> list[Report]:
        """Return the reports of one amount."""
        return [each for each in self.reports if (each.amount, each.currency) == (amount, currency)]


async def read_story(site: Site, payment: Subject, number: int) -> Story | None:
    """Return what is known of a conflict of this payment, None if it is not found."""
    found = await find_events(site, payment, frozenset({Status.APPLIED}))
    events = [Subject(row.namespace, row.event_id) for row in found.page.rows if row.namespace and row.event_id]
    result = (await explain_payment(site.servers, payment, events)).result
    details = result.payments.get(payment)
    conflict = next((each for each in details.conflicts if each.id == number), None) if details else None
    if details is None or conflict is None:
        return None
    reports = [
        Report(event.subject.id, event.applied, fact.amount, fact.currency)
        for event in result.events.values()
        for fact in event.facts
        if event.applied and _key(fact) == conflict.movement
    ]
    act = Acts(result.acts).deciding(conflict)
    booked = act.details.get("booked", []) if act else []
    own = {f"undone:{number}", f"decided:{number}", *(booked if isinstance(booked, list) else [])}
    return Story(
        payment,
        conflict,
        next((each for each in details.transfers if each.movement == conflict.movement), None),
        sorted(reports, key=lambda each: (str(each.event and each.event.received_at), each.event_id)),
        act,
        [each for each in details.transfers if conflict.decision and each.movement in own],
    )


def _key(fact: Fact) -> str:
    rule = TRANSFER_RULES.get(fact.kind)
    return f"{rule.name}:{fact.object}" if rule else ""
