"""`audit`: rows that must not exist, and entries that are not accounted for."""

from dataclasses import asdict

from operations.audit import AuditReport, run_audit
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG, Command, Subcommand, no_arguments
from operations.stream_accounting import EntryCounts
from operations.units import count
from runtime.command_line import fail
from sql.report import findings_json, print_findings


async def show_audit(command: Command) -> int:
    """Show every broken rule; those of Postgres even if Redis cannot be reached."""
    report = await run_audit(command.servers)
    if command.arguments.json:
        more = {"account": asdict(report.entries) if report.entries else None, "operations": asdict(report.log_end)}
        command.print_json(findings_json(report.findings, report.checked) | more)
    else:
        _print_report(command, report)
    if report.redis_problem:
        return fail(
            f"{report.redis_problem}. The stream was not accounted for. Run the audit again once Redis answers.",
            EXIT_UNREACHABLE,
        )
    return EXIT_WRONG if report.findings else 0


COMMAND = Subcommand(
    "look for rows that must not exist and entries that are not accounted for; exit 1 if any", no_arguments, show_audit
)


def _print_report(command: Command, report: AuditReport) -> None:
    if not report.redis_problem:
        command.console.print(_entries_sentence(report.entries))
    if report.log_end.count:
        rows = count(report.log_end.count, "row")
        command.console.print(
            f"The operators' log has {rows}; keep its last hash elsewhere: {report.log_end.last_hash}"
        )
    print_findings(command.console, report.findings, report.checked)


def _entries_sentence(entries: EntryCounts | None) -> str:
    if entries is None:
        return "There is no stream to account for."
    sign = "=" if entries.balanced else "is not"
    acknowledged = f" + {entries.acknowledged} missing, as acknowledged" if entries.acknowledged else ""
    return (
        f"{count(entries.added, 'entry was', 'entries were')} added to this stream, which {sign} "
        f"{entries.recorded} recorded in Postgres + "
        f"{entries.waiting} waiting{acknowledged}."
    )
