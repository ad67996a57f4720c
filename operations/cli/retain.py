"""`retain`: what is older than the retention settings allow is removed now."""

from dataclasses import asdict

from operations.cli.command import EXIT_WRONG, Command, Subcommand, add_act
from operations.retention import retain
from runtime.command_line import fail


async def retain_now(command: Command) -> int:
    """Do the daily maintenance, and print what each step did. Exit 1 if one failed, or if a worker is doing it."""
    done = await retain(command.servers, act=command.act)
    if command.arguments.json:
        steps = [asdict(outcome) for outcome in done.outcomes]
        command.print_json({"steps": steps, "busy_with": done.busy_with})
    for outcome in done.outcomes:
        if outcome.has_failed:
            fail(f"{outcome.step}: {outcome.text}. Nothing of it was half done; workers try again.", EXIT_WRONG)
        elif not command.arguments.json:
            command.console.print(f"{outcome.step}: {outcome.text}")
    if done.busy_with:
        fail(f"A worker does it now: it is at {done.busy_with}. The rest was left to it.", EXIT_WRONG)
    return EXIT_WRONG if done.has_failed else 0


COMMAND = Subcommand("remove what is older than the retention settings allow, as workers do daily", add_act, retain_now)
