"""`conflicts`, `resolve` and `release`: what contradicts or is held back, and a person's decision about it."""

from pathlib import Path

from consumers.handlers import HandlerFailed, Handlers, HandlersError, load
from consumers.handlers.payments import Payments, builtin
from contract.accounts import PostingRules, PostingRulesError
from operations import conflicts as resolve
from operations.cli import resolve as report
from operations.cli.command import EXIT_WRONG, LONG_TIMEOUT_S, Command, fail
from operations.conflicts import CONFLICTS, AmbiguousError, Cursor, Page
from runtime.sources_file import read_posting_rules
from sql.connect import UnreachableError

EXIT_SETTINGS = 2


async def show_conflicts(command: Command) -> int:
    """The open contradictions, and what is held back."""
    async with command.postgres() as connection:
        total = await connection.fetchval(CONFLICTS["count_open_conflicts"])
        conflicts = await connection.fetch(CONFLICTS["list_open_conflicts"], command.arguments.limit)
        held_back = await connection.fetch(CONFLICTS["count_held_back"])
    if command.arguments.json:
        listed, held = [dict(row) for row in conflicts], [dict(row) for row in held_back]
        command.print_json({"open": total, "conflicts": listed, "held_back": held})
    else:
        report.print_conflicts(command.console, conflicts, total)
        report.print_held_back(command.console, held_back)
    return 0


async def resolve_conflicts(command: Command) -> int:
    """One conflict, or all of one payment: what was booked is right, or what was told."""
    try:
        _, handlers = _read_settings(command)
    except (HandlersError, PostingRulesError) as error:
        return fail(f"{error}. Nothing was decided.", EXIT_SETTINGS)
    wanted, keep = command.arguments.id, command.arguments.keep
    async with command.postgres(LONG_TIMEOUT_S) as connection:
        meant = await resolve.find(connection, wanted)
        try:
            done = await resolve.decide(
                connection, handlers, meant, keep, timeout_s=command.settings.handler_timeout_s
            )  # fmt: skip
        except AmbiguousError as error:
            return fail(report.ambiguous_sentence(wanted, meant, error))
        except HandlerFailed as error:
            return _handler_failed(error)
        earlier = None if done.decided else await connection.fetchrow(CONFLICTS["find_decision"], wanted)
    if not done.decided:
        return fail(report.no_conflict_sentence(wanted, earlier))
    if command.arguments.json:
        command.print_json(report.decision_json(done, keep))
    else:
        report.print_decision(command.console, done, keep)
    return 0


async def release_held_back(command: Command) -> int:
    """All that was held back as unsigned for one source, in pages; what fails stays held back."""
    source = command.arguments.source
    try:
        posting_rules, handlers = _read_settings(command)
    except (HandlersError, PostingRulesError) as error:
        return fail(f"{error}. Nothing was released.", EXIT_SETTINGS)
    if posting_rules.get(source, PostingRules()).trust != "all":
        return fail(report.untrusted_sentence(source, command.settings.sources_file, is_known=source in posting_rules))
    total, after, is_first = Page(), None, True
    while is_first or after:
        page = await _release_page(command, handlers, Payments(posting_rules), source, after)
        total.add(page)
        after, is_first = page.next, False
    if command.arguments.json:
        command.print_json(report.release_json(total))
    else:
        report.print_release(command.console, source, total)
    for event_id, reason in total.failed:
        fail(f"{event_id} stays held back: {reason}.")
    return EXIT_WRONG if total.failed else 0


async def _release_page(
    command: Command, handlers: Handlers, payments: Payments, source: str, after: Cursor | None
) -> Page:
    """A connection for each, so that its time limit is for a page."""
    timeout_s = command.settings.handler_timeout_s
    async with command.postgres(LONG_TIMEOUT_S) as connection:
        try:
            return await resolve.release_page(connection, handlers, payments, source, after, timeout_s=timeout_s)
        except HandlerFailed as error:
            raise _lost(error) from error


def _read_settings(command: Command) -> tuple[dict[str, PostingRules], Handlers]:
    """What a worker reads at its start: how sources are booked, and the handlers."""
    posting_rules = read_posting_rules(Path(command.settings.sources_file))
    return posting_rules, load(command.settings.handlers, builtin(posting_rules), command.settings.handlers_folder)


def _handler_failed(error: HandlerFailed) -> int:
    if error.connection_lost:
        raise _lost(error) from error
    return fail(f"Nothing was decided: {resolve.reason_of(error)}. All of it was undone; it may be tried again.")


def _lost(error: HandlerFailed) -> UnreachableError:
    return UnreachableError(f"PostgreSQL closed the connection while a handler ran ({error}); nothing was changed")
