"""Which act of a person is behind what the timeline shows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from operations.why.model import ConflictRecord, DeadLetterRecord, HeldBackFact, PaymentDetails, RecordedAct, Subject

PAST = {"replay": "replayed", "discard": "discarded"}
"""Acts on a dead letter, and the states that they leave it in."""


@dataclass(frozen=True, slots=True)
class Acts:
    """The acts that were found, the oldest first. An act of before there was a log, or of a worker, is not there."""

    found: Sequence[RecordedAct]

    def on_dead_letter(self, dead_letter: DeadLetterRecord) -> list[RecordedAct | None]:
        """Return the act that closed it, None if no person did; then the others, which left it open."""
        own = [act for act in self.found if act.subject == f"dead_letter:{dead_letter.id}" and act.action in PAST]
        if dead_letter.state_changed_at and own and PAST[own[-1].action] == dead_letter.state:
            return [own[-1], *own[:-1]]
        return [None, *own]

    def deciding(self, conflict: ConflictRecord) -> RecordedAct | None:
        """Return the act that decided about a conflict."""
        return next((act for act in self.found if act.names("conflicts", conflict.id)), None)

    def erasing(self, event: Subject) -> list[RecordedAct]:
        """Return the acts that erased personal data of an event, or of its payment and so of it."""
        return [act for act in self.found if act.action == "erase" and act.names("events", str(event))]

    def asking_again(self, event: Subject, since: datetime) -> RecordedAct | None:
        """Return the act at `since` by which the provider's API is asked about an event again."""
        asked = (act for act in self.found if act.action == "confirm" and act.names("events", str(event)))
        return next((act for act in asked if act.acted_at >= since), None)

    def erased_payload_of(self, event: Subject) -> bool:
        """Return whether a person erased the event's body and headers, and no retention dropped them."""
        return any(act.details.get("payloads") for act in self.erasing(event))

    def releasing(self, payment: PaymentDetails, fact: HeldBackFact) -> RecordedAct | None:
        """Return the act that released a fact: a release that names its event, or a decision that released some."""
        event, held = f"{payment.subject.namespace}/{fact.event_id}", f"payment:{payment.subject}"
        for act in self.found:
            is_meant = (
                act.subject == held and bool(act.details.get("released"))
                if fact.reason == "conflict"
                else act.names("events", event) and act.action == "release"
            )
            # A fact has the time at which the transaction began, and the act that of its end.
            if is_meant and fact.released_at and act.acted_at >= fact.released_at:
                return act
        return None
