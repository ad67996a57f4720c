"""What `make demo` shows at its end."""

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.table import Table

from stack import show
from stack.demo.check import CONFLICT_IS_OPEN, Audit, Balance, Books, Conflict
from stack.demo.samples import Outcome, major_units


@dataclass(frozen=True, slots=True)
class Report:
    """What was sent and what became of it. `taken_over` is None where nobody can count it."""

    payments: int
    events: int
    sent: int
    accepted: int
    duplicates: int
    refused: dict[int, int]
    committed: int
    dead: int
    gateways: int
    workers: int
    killed: int
    restarted: int
    taken_over: int | None
    seconds: float
    books: Books
    audit: Audit
    contradicted: int

    @property
    def as_told(self) -> bool:
        """Whether each event was applied once, and every row and transfer is what the stories say."""
        is_complete = self.accepted + self.duplicates == self.sent and self.committed == self.events >= self.accepted
        return is_complete and not (self.dead or self.books.wrong)

    @property
    def audit_as_expected(self) -> bool:
        """Whether the audit finds nothing, but the conflict that was asked for."""
        return not (self.audit.broken.keys() - ({CONFLICT_IS_OPEN} if self.contradicted else set()))

    @property
    def passed(self) -> bool:
        """Whether everything is as it must be."""
        return self.as_told and self.audit_as_expected

    def as_json(self) -> dict[str, Any]:
        """All of it, for scripts."""
        return {**asdict(self), "passed": self.passed}


def show_report(report: Report) -> None:
    """Tables of what came in, what was done to the workers, and what the money is now; then the verdict."""
    show.OUT.print("", _deliveries(report), "", _payments(report.books.outcomes), "", _balances(report.books.balances))
    if report.books.conflicts:
        show.OUT.print("", _conflicts(report.books.conflicts))
    show.say("")
    for line in _verdict(report):
        show.say(line)


def _deliveries(report: Report) -> Table:
    books = report.books
    table = Table("", "", "", box=None, pad_edge=False, show_header=False)
    table.columns[1].justify = "right"

    def row(name: str, count: int | None, text: str = "") -> None:
        table.add_row(name, "" if count is None else f"{count:,}", text)

    times = report.sent // report.events
    row("sent", report.sent, f"{report.events} events of {report.payments} payments, shuffled, each {times} times,")
    row("", None, f"to {report.gateways} gateways; {report.seconds} s until the last commit")
    row("accepted", report.accepted, "answered 202: durable in the stream")
    row("duplicates", report.duplicates, "answered 200: known already")
    row("", books.duplicates, "recorded in PostgreSQL: those that Redis did not know")
    for status, count in sorted(report.refused.items()):
        row("refused", count, f"answered {status}")
    row("committed", report.committed, f"events, by {report.workers} workers")
    row("dead", report.dead, "letters; `make dead` shows them" if report.dead else "letters")
    row("conflicts", len(books.conflicts), "movements of money told with two amounts")
    row("held back", books.held_back, "facts that may not move money")
    row("killed", report.killed, f"workers, one a second (SIGKILL); {report.restarted} started in their place")
    if report.taken_over is None:
        row("taken over", None, "not counted: workers in containers do not count together")
    else:
        row("taken over", report.taken_over, "entries that a killed worker had read and not committed")
    return table


def _payments(outcomes: list[Outcome]) -> Table:
    table = Table("status", "currency", box=None, pad_edge=False, header_style="bold")
    for column in ("payments", "captured", "refunded", "disputed"):
        table.add_column(column, justify="right")

    def key(outcome: Outcome) -> tuple[str, str]:
        return outcome.status, outcome.currency

    for (status, currency), group in groupby(sorted(outcomes, key=key), key):
        members = list(group)
        sums = (sum(getattr(one, name) for one in members) for name in ("captured", "refunded", "disputed"))
        table.add_row(status, currency, str(len(members)), *(major_units(total, currency) for total in sums))
    return table


def _balances(balances: list[Balance]) -> Table:
    table = Table("account", "currency", box=None, pad_edge=False, header_style="bold")
    table.add_column("balance", justify="right")
    for each in balances:
        table.add_row(each.account, each.currency, major_units(each.balance, each.currency))
    return table


def _conflicts(conflicts: list[Conflict]) -> Table:
    table = Table("conflict", "payment", "of its", "currency", box=None, pad_edge=False, header_style="bold")
    for column in ("booked", "told"):
        table.add_column(column, justify="right")
    for each in conflicts:
        booked = "nothing" if each.booked_amount is None else major_units(each.booked_amount, each.currency)
        told = major_units(each.told_amount, each.currency)
        kind = each.movement.partition(":")[0]
        table.add_row(str(each.id), each.payment_id, kind, each.currency, booked, told)
    return table


def _verdict(report: Report) -> list[str]:
    lines = []
    if report.refused:
        lines.append("Deliveries were refused: the samples are signed with the secrets of .env; `make logs` says why.")
    if not report.killed:
        lines.append("No worker was killed: none could be found, or reached, while the events were sent.")
    if report.books.wrong:
        lines.append(f"Not what their events say: {', '.join(report.books.wrong)}; `make why ID=…` tells of one.")
    if report.as_told:
        example = report.books.outcomes[0].payment_id
        lines.append(f"Every payment and every transfer is exactly what its events say; `make why ID={example}` tells")
        lines.append("how one of them came about.")
    if not report.audit.broken:
        lines.append("The audit passes.")
    elif report.audit_as_expected:
        lines.append("The audit finds the conflict, as it must, and will until somebody decides:")
        lines += [f"  make resolve ID={each.id} KEEP=booked   (or KEEP=reported)" for each in report.books.conflicts]
    elif report.audit.broken.keys() == {CONFLICT_IS_OPEN}:
        lines.append("The audit does NOT pass: a conflict of before waits for its decision; `make audit` shows it.")
    else:
        lines.append(f"The audit does NOT pass ({', '.join(report.audit.broken)}); `make audit` shows the rows.")
    if not report.as_told:
        lines.append("Something is NOT as it must be.")
    return lines
