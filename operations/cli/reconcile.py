"""`reconcile`: one source is compared with its provider's list, and what is missing is added if that is asked for."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from rich.table import Table

from contract.accounts import PostingRulesError
from operations.cli.command import (
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    EXIT_WRONG,
    Command,
    Subcommand,
    add_act,
    add_limit,
    identifier,
)
from operations.reconcile.access import read_api
from operations.reconcile.errors import ReconcileError, UnknownAccountError
from operations.reconcile.run import Reconciliation, Report, Wanted
from operations.reconcile.store import Finding, list_findings
from operations.reconcile.windows import at
from providers.api import ApiError, ApiUnavailableError
from providers.api_access import read_duration
from providers.apis import AccessError
from runtime.command_line import fail


async def reconcile(command: Command) -> int:
    """Compare, print what differs, and repair it where asked to. Exit 1 if something differs that was not repaired."""
    arguments = command.arguments
    try:
        api = read_api(command.settings.sources_file, command.environment, arguments.source)
    except (AccessError, PostingRulesError) as error:
        return fail(f"{error}", EXIT_USAGE)
    wanted = Wanted(
        repair=arguments.repair, since=arguments.since, until=arguments.until, over_gaps=arguments.over_gaps,
        from_nothing=arguments.from_nothing,
    )  # fmt: skip
    try:
        report = await Reconciliation(command.servers, api, command.act).run(wanted)
    except ApiUnavailableError as error:
        wait = f" It asks to be left alone for {error.retry_after_s:.0f} s." if error.retry_after_s else ""
        said = f"The provider cannot be asked now: {error}.{wait} What was found until then is kept."
        return fail(said, EXIT_UNREACHABLE)
    except UnknownAccountError as error:
        return fail(f"Nothing was added: {error}.", EXIT_WRONG)
    except (ApiError, ReconcileError) as error:
        return fail(f"{arguments.source} was not compared: {error}.", EXIT_WRONG)
    async with command.servers.postgres() as connection:
        findings = await list_findings(connection, source=arguments.source, limit=arguments.limit + 1)
    if arguments.json:
        command.print_json({**asdict(report), "findings": [asdict(each) for each in findings[: arguments.limit]]})
    else:
        _print(command, report, findings)
    counts = report.counts
    return EXIT_WRONG if counts.missing > counts.repaired or counts.extra or counts.different else 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", type=identifier, help="its name in sources.toml")
    parser.add_argument("--since", type=_time, help="24h, 7d or 2026-11-26T12:00Z; absent: where the last run ended")
    parser.add_argument("--until", type=_time, help="likewise; now if absent")
    parser.add_argument("--repair", action="store_true", help="add what is missing to the stream, as if delivered now")
    parser.add_argument(
        "--over-gaps", action="store_true",
        help="leave a time behind that the provider lists no more: what is complete is counted from this run on",
    )  # fmt: skip
    parser.add_argument(
        "--from-nothing", action="store_true",
        help="repair also where nothing that is listed was known here: a new source's history, or an empty database",
    )  # fmt: skip
    add_limit(parser)
    add_act(parser)


COMMAND = Subcommand(
    "compare a source with its provider's own list, and repair what is missing", _add_arguments, reconcile
)


def _time(text: str) -> datetime:
    try:
        return datetime.now(UTC) - read_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a duration such as 24h nor a time") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _columns(findings: Sequence[Finding]) -> dict[str, list[str]]:
    return {
        "kind": [each.kind for each in findings],
        "event": [each.event_id for each in findings],
        "type": [each.type for each in findings],
        "payment": [each.resource for each in findings],
        "happened": [at(each.occurred_at) if each.occurred_at else "" for each in findings],
        "what differs": [each.difference for each in findings],
        "recorded": [each.recorded for each in findings],
        "listed": [each.listed for each in findings],
        "entry": [each.entry_id or "" for each in findings],
    }


def _print(command: Command, report: Report, findings: list[Finding]) -> None:
    console = command.console
    console.print(f"{report.source}: {report.outcome}.")
    if report.complete_until:
        console.print(f"Nothing that the provider lists from before {at(report.complete_until)} is missing.")
    if not findings:
        return
    limit = command.arguments.limit
    columns = {name: values for name, values in _columns(findings[:limit]).items() if any(values)}
    table = Table(title="What differs, until a run finds that it does not", title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")  # an id is not cut: it is given to another command
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    console.print(table)
    if len(findings) > limit:
        console.print("There are more; use a larger --limit (LIMIT=…) to see them.")
    counts = report.counts
    if counts.missing > counts.repaired and not command.arguments.repair:
        console.print(f"`make reconcile SOURCE={report.source} REPAIR=1` adds what is missing to the stream.")
