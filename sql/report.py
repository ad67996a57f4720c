"""Terminal tables and JSON output of findings and migrations."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sql.audit import Finding
from sql.migrate import Migration


def print_findings(console: Console, findings: Sequence[Finding], checked: int) -> None:
    """Print one table per broken invariant, or one line if all hold."""
    for finding in findings:
        console.print(_finding_table(finding))
        if finding.total > len(finding.rows):
            console.print(f"… and {finding.total - len(finding.rows)} more", style="dim")
    if findings:
        console.print(f"{len(findings)} of {checked} invariants do not hold.", style="bold red")
    else:
        console.print(f"All {checked} invariants hold.", style="green")


def print_migrations(console: Console, migrations: Iterable[Migration]) -> None:
    """Print one row per migration."""
    table = Table("migration", "applied", title="Migrations", title_justify="left")
    for migration in migrations:
        applied = migration.applied_at.isoformat(sep=" ", timespec="seconds") if migration.applied_at else "no"
        table.add_row(migration.name, applied if migration.known else f"{applied}, by a newer version of this program")
    console.print(table)


def findings_json(findings: Sequence[Finding], checked: int) -> dict[str, Any]:
    """Return the document of `audit --json`. Values that JSON lacks become text."""
    broken = [{"name": f.name, "why": f.why, "total": f.total, "rows": f.rows} for f in findings]
    return {"ok": not findings, "checked": checked, "broken": broken}


def migrations_json(migrations: Iterable[Migration]) -> dict[str, Any]:
    """Return the document of `status --json`."""
    rows = [{"name": m.name, "applied_at": m.applied_at, "known": m.known} for m in migrations]
    return {"current": all(row["applied_at"] for row in rows), "migrations": rows}


def _finding_table(finding: Finding) -> Table:
    title = Text.assemble((finding.name, "bold red"), f": {finding.total} row(s). {finding.why}")
    table = Table(title=title, title_justify="left")
    for name in finding.rows[0]:
        table.add_column(name, overflow="fold")  # ids are copied from here
    for row in finding.rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    return table
