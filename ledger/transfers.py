"""From facts to what is written: which movement a fact tells of, between which accounts, and what stands beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from contract.accounts import PostingRules
from contract.event import Event
from contract.facts import Fact, Kind


class _Move(NamedTuple):
    """`stakes`: the sum of a payment that it adds to, as `book_facts` numbers them."""

    name: str
    debit: str
    credit: str
    stakes: int


MOVES: Mapping[Kind, _Move] = {
    "captured": _Move("capture", "provider", "merchant", 1),
    "refunded": _Move("refund", "merchant", "provider", 2),
    "refund_failed": _Move("refund_failed", "provider", "merchant", 3),
    "capture_failed": _Move("capture_failed", "merchant", "provider", 4),
    "funds_withdrawn": _Move("dispute", "disputes", "provider", 0),
    "funds_reinstated": _Move("dispute_reinstated", "provider", "disputes", 0),
}
"""The facts that move money: the name of their movement, and its accounts. The others tell of states."""

UNDOES: Mapping[Kind, Kind] = {
    "refund_failed": "refunded",
    "capture_failed": "captured",
    "funds_reinstated": "funds_withdrawn",
}
"""What was undone was done before, whether or not that was told: both are booked, whichever event comes first."""

_FLAGS: Mapping[Kind, int] = {"authorized": 1, "captured": 2, "failed": 4, "canceled": 8, "capture_failed": 16}
_ASKED: frozenset[Kind] = frozenset({"pending", "authorized", "captured", "failed", "canceled"})
"""The facts whose amount is what the payment is for, or a part of it."""

DISPUTE_KINDS: frozenset[Kind] = frozenset(
    {"dispute_opened", "dispute_won", "dispute_lost", "funds_withdrawn", "funds_reinstated"}
)


@dataclass(slots=True)
class Row:
    """What one event tells in one row of `book_facts`: at most one movement, and what else it says."""

    event: Event
    currency: str
    amount: int = 0
    refunds_total: int = 0
    flags: int = 0
    fact: Fact | None = None
    """The one that moves money."""
    movement: str | None = None
    """None too where another row of the same batch tells of the same."""
    stakes: int = 0
    debit: str | None = None
    credit: str | None = None

    @property
    def payment(self) -> tuple[str, str]:
        """What it is about: namespace and payment."""
        return self.event.namespace, self.event.resource

    @property
    def key(self) -> str:
        """The movement, in its namespace; as `book_facts` names those it booked."""
        return f"{self.event.namespace}:{self.movement}"

    @property
    def moved(self) -> int:
        """How much the movement moves."""
        return self.fact.amount if self.fact else 0


def told(facts: Sequence[Fact], event: Event, rules: PostingRules) -> Iterator[Fact]:
    """The facts with those that follow from them: what was undone was done, what is authorized may be captured too.

    A payment that its provider captures by itself has one capture, which is named after the payment.
    """
    is_automatic = rules.capture == "automatic"
    for each in facts:
        if each.kind == "captured" and is_automatic:
            continue  # the authorization has told it
        is_of_the_one = each.kind == "capture_failed" and is_automatic
        fact = Fact(each.kind, each.amount, each.currency, event.resource) if is_of_the_one else each
        if done := UNDOES.get(fact.kind):
            yield Fact(done, fact.amount, fact.currency, fact.object)
        yield fact
        if fact.kind == "authorized" and is_automatic:
            yield Fact("captured", fact.amount, fact.currency, event.resource)


def rows_of(event: Event, facts: Iterable[Fact], rules: PostingRules) -> Iterator[Row]:
    """As few rows as hold what the event tells."""
    row: Row | None = None
    for fact in facts:
        move = MOVES.get(fact.kind) if fact.amount else None  # nothing is no movement
        if row is None or row.currency != fact.currency or (move and row.fact):
            if row:
                yield row
            row = Row(event, fact.currency)
        row.flags |= _FLAGS.get(fact.kind, 0)
        if fact.kind in _ASKED:
            row.amount = max(row.amount, fact.amount)
        elif fact.kind == "refunded_total":
            row.refunds_total = max(row.refunds_total, fact.amount)
        if move:
            row.fact, row.stakes, row.movement = fact, move.stakes, f"{move.name}:{fact.object}"
            row.debit = account(rules.accounts[move.debit], event, fact.currency)
            row.credit = account(rules.accounts[move.credit], event, fact.currency)
    if row:
        yield row


def account(template: str, event: Event, currency: str) -> str:
    """The name of an account."""
    payment = event.resource if "{payment" in template else ""
    return _filled(template, event.source, event.namespace, event.provider, currency, payment)


@lru_cache(maxsize=1024)
def _filled(template: str, source: str, namespace: str, provider: str, currency: str, payment: str) -> str:
    return template.format(
        source=source, namespace=namespace, provider=provider, currency=currency, payment=payment
    )  # fmt: skip


class Lot:
    """Rows that do not contradict each other, so that one statement can book them."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._terms: dict[str, tuple[int, str, str]] = {}
        self._currencies: dict[tuple[str, str], str] = {}

    def takes(self, row: Row) -> bool:
        """Adds the row, unless it contradicts another one. A movement that was told already is not told again."""
        if self._currencies.setdefault(row.payment, row.currency) != row.currency:
            return False
        if row.movement:
            terms = row.moved, row.currency, row.event.resource
            known = self._terms.setdefault(row.key, terms)
            if known != terms:
                return False
            if known is not terms:
                row.movement = None
        self.rows.append(row)
        return True


def lots_of(rows: Iterable[Row]) -> list[Lot]:
    """One lot, unless events of this very batch contradict each other: then as many as are needed, in their order."""
    lots = [Lot()]
    for row in rows:
        for lot in lots:
            if lot.takes(row):
                break
        else:
            lots.append(Lot())
            lots[-1].takes(row)
    return lots
