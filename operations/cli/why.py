"""`why`: everything known about one event or payment, and the next step if it is stuck."""

import argparse

from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG, Command, Subcommand, identifier
from operations.cli.why_json import explanation_json, search_json
from operations.cli.why_text import print_explanation
from operations.why.explain import explain
from operations.why.model import SearchResult
from runtime.command_line import fail


async def show_why(command: Command) -> int:
    """Show what was found. The exit code is 3 if one of the servers was not asked."""
    reader = command.reader(complete=True)
    explanation = await explain(reader, command.arguments.id)
    result = explanation.result
    result.notes += [note.rstrip(".") for note in reader.notes]
    if command.arguments.json:
        command.print_json(explanation_json(explanation) if explanation.is_found else search_json(explanation))
    elif explanation.is_found:
        print_explanation(command.console, explanation)
    else:
        command.print_notes(reader)
    if result.ambiguous:
        names = ", ".join(f"{namespace}/{result.id_text}" for namespace in result.ambiguous)
        return fail(f"{result.id_text!r} is known in several namespaces; name one: {names}.", EXIT_WRONG)
    if result.searched and not explanation.is_found:
        fail(f"Nothing is known of {result.id_text!r}. Searched: {'; '.join(result.searched)}.", EXIT_WRONG)
    return _exit_code(result, 0 if explanation.is_found else EXIT_WRONG)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id",
        metavar="ID",
        type=identifier,
        help="an event's, a payment's, a transfer's (capture:pi_1), a dispute's or an entry's; or namespace/ID",
    )


COMMAND = Subcommand(
    "show everything known about one event or payment, and the next step if it is stuck", _add_arguments, show_why
)


def _exit_code(result: SearchResult, otherwise: int) -> int:
    problems = [("Redis", result.redis_problem), ("Postgres", result.postgres_problem)]
    for name, problem in problems:
        if problem:
            fail(f"{name} was not asked: {problem}.", EXIT_UNREACHABLE)
    return EXIT_UNREACHABLE if any(problem for _, problem in problems) else otherwise
