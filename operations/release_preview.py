"""What a release would book: it is made without handlers, payment by payment, and undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from consumers.handlers import HandlerFailed, Reject
from consumers.handlers.payments import Payments, builtin
from contract.accounts import PostingRules
from operations.conflict_preview import NO_HANDLERS_TIMEOUT_S, Money, read_money
from operations.held_back import apply_release, count_unsigned, list_unsigned
from operations.payment_acts import exclusive_transaction, failure_reason
from operations.why.model import BookedTransfer, PaymentState, Subject

if TYPE_CHECKING:
    import asyncpg

    from sql.connect import Connection

PAYMENTS_MAX = 10
"""Payments that a preview shows: those whose events are on hold the longest."""


@dataclass(frozen=True, slots=True)
class PaymentPreview:
    """One payment now, and after the release of its events. `problem`: why they would stay on hold."""

    payment: Subject
    events: int
    now: Money
    after: PaymentState | None = None
    booked: list[BookedTransfer] = field(default_factory=list)
    """The transfers that it adds."""
    conflicts: int = 0
    """Conflicts that it finds."""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ReleasePreview:
    """The first payments of a release of one source. `events` counts all its events on hold as unsigned."""

    source: str
    events: int
    payments: list[PaymentPreview]

    @property
    def shown(self) -> int:
        """The events that the payments here are about."""
        return sum(payment.events for payment in self.payments)


async def preview_release(
    connection: "Connection", rules: Mapping[str, PostingRules], source: str
) -> ReleasePreview:  # fmt: skip
    """Return what a release of the source would do to the first payments, as if the source were trusted."""
    trusting = {**rules, source: replace(rules.get(source, PostingRules()), trust="all")}
    by_payment: dict[Subject, list[asyncpg.Record[Any]]] = {}
    for row in await list_unsigned(connection, source):
        by_payment.setdefault(Subject(row["namespace"], row["payment_id"]), []).append(row)
    payments = [
        await _preview(connection, trusting, subject, rows) for subject, rows in list(by_payment.items())[:PAYMENTS_MAX]
    ]
    return ReleasePreview(source, await count_unsigned(connection, source), payments)


async def _preview(
    connection: "Connection", rules: Mapping[str, PostingRules], subject: Subject,
    rows: "Sequence[asyncpg.Record[Any]]",
) -> PaymentPreview:  # fmt: skip
    now = await read_money(connection, *subject)
    undone = connection.transaction(isolation="read_committed")
    await undone.start()
    try:
        async with exclusive_transaction(connection, [subject.namespace], [subject.id]):
            # The built-in handlers know the sources' modes, and none of them is called for a fact.
            _, outcome = await apply_release(
                connection, builtin(rules), Payments(rules), rows, NO_HANDLERS_TIMEOUT_S
            )  # fmt: skip
        money = await read_money(connection, *subject)
    except (HandlerFailed, Reject, ValidationError) as error:
        return PaymentPreview(subject, len(rows), now, problem=failure_reason(error))
    finally:
        await undone.rollback()
    known = {transfer.movement for transfer in now.transfers}
    booked = [each for each in money.transfers if each.movement not in known]
    return PaymentPreview(subject, len(rows), now, money.state, booked, outcome.conflicts.total())
