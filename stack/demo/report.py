"""The report that `make demo` ends with."""

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.table import Table

from stack import show
from stack.demo.check import CONFLICT_IS_OPEN, Audit, Balance, BookedState, Conflict
from stack.demo.gaps import Found
from stack.demo.samples import PaymentRow, major_units


@dataclass(frozen=True, slots=True)
class Report:
    """What was sent and what it led to. `taken_over` is None where the workers' metrics cannot be read."""

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
    books: BookedState
    audit: Audit
    contradicted: int
    gaps: Found | None = None

    @property
    def is_as_expected(self) -> bool:
        """Whether each event was applied once, and every row and transfer is as expected."""
        is_complete = self.accepted + self.duplicates == self.sent and self.committed == self.events >= self.accepted
        is_repaired = self.gaps is None or self.gaps.is_as_expected
        return is_complete and is_repaired and not (self.dead or self.books.wrong)

    @property
    def audit_as_expected(self) -> bool:
        """Whether the audit reports nothing but the conflict that was requested."""
        return not (self.audit.broken.keys() - ({CONFLICT_IS_OPEN} if self.contradicted else set()))

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return self.is_as_expected and self.audit_as_expected

    def as_json(self) -> dict[str, Any]:
        """Return the report for scripts."""
        return {**asdict(self), "passed": self.passed}


def show_report(report: Report) -> None:
    """Print tables of the deliveries, the workers, the payments and the balances, then the conclusions."""
    show.OUT.print("", _deliveries(report), "", _payments(report.books.outcomes), "", _balances(report.books.balances))
    if report.books.conflicts:
        show.OUT.print("", _conflicts(report.books.conflicts))
    show.say("")
    for line in _conclusions(report):
        show.say(line)


def _deliveries(report: Report) -> Table:
    books = report.books
    table = Table("", "", "", box=None, pad_edge=False, show_header=False)
    table.columns[1].justify = "right"

    def row(name: str, count: int | None, text: str = "") -> None:
        table.add_row(name, "" if count is None else f"{count:,}", text)

    lost = report.gaps.lost if report.gaps else 0
    delivered = report.events - lost
    times = report.sent // delivered
    row("sent", report.sent, f"{delivered} events of {report.payments} payments, shuffled, each {times} times,")
    row("", None, f"to {report.gateways} gateways; {report.seconds} s until the last commit")
    row("accepted", report.accepted, "answered 202: durable in the stream")
    row("duplicates", report.duplicates, "answered 200: already accepted")
    row("", books.duplicates, "recorded in PostgreSQL: those that Redis did not recognise")
    for status, count in sorted(report.refused.items()):
        row("refused", count, f"answered {status}")
    if report.gaps:
        row("lost", lost, "events, which were never delivered on purpose; Stripe lists them")
        row("missing", report.gaps.missing, "found by `make reconcile`")
        row("repaired", report.gaps.repaired, f"with REPAIR=1; {report.gaps.missing_after} are missing now")
    row("committed", report.committed, f"events, by {report.workers} workers")
    row("dead", report.dead, "letters; `make dead` lists them" if report.dead else "letters")
    row("conflicts", len(books.conflicts), "transfers reported with two amounts")
    row("on hold", books.held_back, "facts that may not move money")
    row("killed", report.killed, f"workers, one a second (SIGKILL); {report.restarted} started in their place")
    if report.taken_over is None:
        row("taken over", None, "not counted: workers in containers have no common metrics")
    else:
        row("taken over", report.taken_over, "entries that a killed worker had read and not committed")
    return table


def _payments(outcomes: list[PaymentRow]) -> Table:
    table = Table("status", "currency", box=None, pad_edge=False, header_style="bold")
    for column in ("payments", "captured", "refunded", "disputed"):
        table.add_column(column, justify="right")

    def key(outcome: PaymentRow) -> tuple[str, str]:
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
    table = Table("conflict", "payment", "transfer", "currency", box=None, pad_edge=False, header_style="bold")
    for column in ("booked", "reported"):
        table.add_column(column, justify="right")
    for each in conflicts:
        booked = "nothing" if each.booked_amount is None else major_units(each.booked_amount, each.currency)
        reported = major_units(each.reported_amount, each.currency)
        kind = each.movement.partition(":")[0]
        table.add_row(str(each.id), each.payment_id, kind, each.currency, booked, reported)
    return table


def _conclusions(report: Report) -> list[str]:
    lines = []
    if report.refused:
        lines.append("Deliveries were refused. The samples are signed with the secrets in .env; `make logs` shows why.")
    if not report.killed:
        lines.append("No worker was killed: none was found or reached while the events were sent.")
    if report.books.wrong:
        lines.append(f"Not as their events say: {', '.join(report.books.wrong)}; `make why ID=…` explains one.")
    if report.is_as_expected:
        example = report.books.outcomes[0].payment_id
        lines.append("Every payment and every transfer is exactly as its events say;")
        lines.append(f"`make why ID={example}` shows the history of one of them.")
    if not report.audit.broken:
        lines.append("The audit passes.")
    elif report.audit_as_expected:
        lines.append("The audit reports the conflict, as it must, until somebody resolves it:")
        lines += [f"  make resolve ID={each.id} KEEP=booked   (or KEEP=reported)" for each in report.books.conflicts]
    elif report.audit.broken.keys() == {CONFLICT_IS_OPEN}:
        lines.append("The audit does NOT pass: an earlier conflict is not resolved; `make audit` shows it.")
    else:
        lines.append(f"The audit does NOT pass ({', '.join(report.audit.broken)}); `make audit` shows the rows.")
    if not report.is_as_expected:
        lines.append("Something is NOT as expected.")
    return lines
