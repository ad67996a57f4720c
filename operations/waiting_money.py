"""How much money waits: on hold, by what the facts are, and in open conflicts, per currency."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.facts import Kind
from contract.money import format_amount
from ledger.transfers import TRANSFER_RULES
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

CONFLICTS = load("conflicts")

ADDED_UP_MAX = 10_000
"""Facts and conflicts that are added up for a page."""


@dataclass(frozen=True, slots=True)
class HeldMoney:
    """The sum of one source's facts on hold of one kind, reason and currency, in minor units."""

    source: str
    reason: str
    kind: Kind
    currency: str
    amount: int


@dataclass(frozen=True, slots=True)
class WaitingMoney:
    """The money that waits. Sums are of ADDED_UP_MAX facts and of as many conflicts at most."""

    held: list[HeldMoney]
    booked: dict[str, int]
    """Currency → what is booked for the transfers of open conflicts."""
    reported: dict[str, int]
    """Currency → what the open conflicts report for them."""

    def on_hold(self, reason: str, source: str | None = None) -> str:
        """Return what is on hold for a reason, of one source or of all: `captured 12.00 EUR, refunded 3.00 EUR`."""
        sums: dict[tuple[str, str], int] = {}
        for each in self.held:
            if each.reason == reason and source in (None, each.source):
                key = (each.kind, each.currency)
                sums[key] = sums.get(key, 0) + each.amount
        shown = (
            f"{kind.replace('_', ' ')} {format_amount(amount, currency)}"
            for (kind, currency), amount in sorted(sums.items())
        )
        return ", ".join(shown)

    @property
    def contradiction(self) -> str:
        """What is booked and reported for open conflicts: `7.00 EUR booked, 8.00 EUR reported`; '' without any."""
        sides = (("booked", self.booked), ("reported", self.reported))
        return ", ".join(f"{_amounts(sums)} {name}" for name, sums in sides if sums)


async def add_up_waiting_money(connection: "Connection") -> WaitingMoney:
    """Add up the money on hold and in open conflicts."""
    query = CONFLICTS.bind("add_up_held_back", kinds=list(TRANSFER_RULES), limit=ADDED_UP_MAX)
    held = [HeldMoney(**{**row, "amount": int(row["amount"])}) for row in await connection.fetch(*query)]
    sums: dict[str, dict[str, int]] = {"booked": {}, "reported": {}}
    for side, currency, amount in await connection.fetch(*CONFLICTS.bind("add_up_conflicts", limit=ADDED_UP_MAX)):
        sums[side][currency] = int(amount)
    return WaitingMoney(held, **sums)


def _amounts(sums: dict[str, int]) -> str:
    return " + ".join(format_amount(amount, currency) for currency, amount in sorted(sums.items()))
