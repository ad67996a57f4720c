"""What deciding about a conflict would book: the decision itself is made, in a transaction that is rolled back.

Handlers are not called, because they may do what no rollback undoes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, get_args

from consumers.handlers import Handlers
from operations.conflicts import AmbiguousError, ConflictMatch, Decision, Keep, decide_in_transaction
from operations.payment_acts import exclusive_transaction
from operations.why.model import BookedTransfer, PaymentState
from sql import load
from sql.connect import Connection

if TYPE_CHECKING:
    import asyncpg

WHY = load("why")

TRANSFERS_MAX = 1000
"""Decisions about a payment with more transfers are not previewed: that would take seconds."""

TRANSFERS_READ_MAX = 2 * TRANSFERS_MAX
"""With those that a decision adds."""

NO_HANDLERS_TIMEOUT_S = 1.0
"""A limit that nothing reaches, since no handler is called."""


@dataclass(frozen=True, slots=True)
class Money:
    """A payment's row, if there is one, and its transfers, the oldest first."""

    state: PaymentState | None
    transfers: list[BookedTransfer]


@dataclass(frozen=True, slots=True)
class Preview:
    """The effects of one decision. `problem`: why it cannot be made; nothing else is known then."""

    keep: Keep
    after: PaymentState | None = None
    booked: list[BookedTransfer] = field(default_factory=list)
    """The transfers that it adds."""
    decision: Decision | None = None
    problem: str | None = None

    def digest(self, now: Money) -> str:
        """Return a hash of the payment now and after: a person confirms exactly what was shown."""
        transfers = [
            (each.movement, each.amount, each.currency, each.event_id) for each in (*now.transfers, *self.booked)
        ]
        text = repr((self.keep, now.state, self.after, transfers, self.decision, self.problem))
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    """What is booked now, and a preview of each decision. `left_out`: the sentence in place of the transfers."""

    now: Money
    previews: list[Preview]
    left_out: str | None = None

    def preview(self, keep: Keep) -> Preview:
        """Return the preview of one of the decisions."""
        return next(each for each in self.previews if each.keep == keep)


async def preview_decisions(connection: Connection, matches: Sequence[ConflictMatch]) -> Choice:
    """Return what is booked for the payment of these conflicts, and what each decision about them would change."""
    namespace, payment_id = matches[0].namespace, matches[0].payment_id
    count = WHY.bind("count_transfers", namespace=namespace, payment_id=payment_id, limit=TRANSFERS_MAX + 1)
    if await connection.fetchval(*count) > TRANSFERS_MAX:
        sentence = f"The payment has more than {TRANSFERS_MAX:,} transfers, which are left out here"
        problem = f"{sentence}, and so is what this would book. `make resolve` decides it."
        state = await _read_state(connection, namespace, payment_id)
        return Choice(Money(state, []), [Preview(keep, problem=problem) for keep in get_args(Keep)], f"{sentence}.")
    now = await read_money(connection, namespace, payment_id)
    return Choice(now, [await _preview(connection, matches, keep, now) for keep in get_args(Keep)])


async def read_money(connection: Connection, namespace: str, payment_id: str) -> Money:
    """Return a payment's row and its transfers."""
    columns = {"namespace": [namespace], "payment_id": [payment_id]}
    state = await _read_state(connection, namespace, payment_id)
    transfers = await connection.fetch(*WHY.bind("read_transfers", **columns, limit=TRANSFERS_READ_MAX))
    return Money(state, [BookedTransfer(**_values(BookedTransfer, each)) for each in transfers])


async def _read_state(connection: Connection, namespace: str, payment_id: str) -> PaymentState | None:
    row = await connection.fetchrow(*WHY.bind("read_payments", namespace=[namespace], payment_id=[payment_id]))
    return PaymentState(**_values(PaymentState, row)) if row else None


async def _preview(connection: Connection, matches: Sequence[ConflictMatch], keep: Keep, now: Money) -> Preview:
    namespace, payment_id = matches[0].namespace, matches[0].payment_id
    decision, undone = Decision(), connection.transaction(isolation="read_committed")
    await undone.start()
    try:
        async with exclusive_transaction(connection, [namespace], [payment_id]):
            await decide_in_transaction(
                connection, Handlers(), matches, keep, decision, NO_HANDLERS_TIMEOUT_S
            )  # fmt: skip
        money = await read_money(connection, namespace, payment_id)
    except AmbiguousError as error:
        return Preview(keep, problem=f"This cannot be decided so: {error}.")
    finally:
        await undone.rollback()
    known = {transfer.movement for transfer in now.transfers}
    return Preview(keep, money.state, [each for each in money.transfers if each.movement not in known], decision)


def _values(kind: type[PaymentState] | type[BookedTransfer], row: "asyncpg.Record[Any]") -> dict[str, Any]:
    return {each.name: row[each.name] for each in fields(kind)}
