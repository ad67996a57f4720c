"""`conflicts`: the open conflicts, and the facts on hold."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from contract.money import format_amount
from operations.cli.command import Command, Subcommand, add_limit
from operations.conflicts import ConflictSummary, list_conflicts
from operations.held_back import HeldBackCount, OtherModeCount, count_held_back, count_other_mode
from operations.waiting_money import WaitingMoney, add_up_waiting_money

NEXT_STEP = {
    "conflict": "waits for a decision about its payment: resolve ID --keep booked|reported (make resolve ID=… KEEP=…)",
    "unsigned": 'not covered by a signature: trust = "all" in the source\'s settings lets it move money; then '
    "release SOURCE (make release SOURCE=…)",
}
"""The next step for facts on hold, by reason."""


async def show_conflicts(command: Command) -> int:
    """Show the open conflicts, the oldest first, the facts on hold, and the events of the other mode."""
    async with command.servers.postgres() as connection:
        total, conflicts = await list_conflicts(connection, limit=command.arguments.limit)
        held_back = await count_held_back(connection)
        other_mode = await count_other_mode(connection)
        money = await add_up_waiting_money(connection)
    if command.arguments.json:
        listed, held = [_conflict_json(each) for each in conflicts], [asdict(each) for each in held_back]
        others = [asdict(each) | {"last_recorded_at": each.last_recorded_at.isoformat()} for each in other_mode]
        document = {"open": total, "conflicts": listed, "held_back": held, "other_mode": others}
        command.print_json(document | {"money": asdict(money)})
    else:
        _print_conflicts(command, conflicts, total)
        _print_held_back(command, held_back, money)
        _print_other_mode(command, other_mode)
    return 0


COMMAND = Subcommand("show conflicts that wait for a decision, and facts on hold", add_limit, show_conflicts)


def format_conflict_amount(movement: str, amount: int, currency: str) -> str:
    """Return the amount, or only the currency if the conflict is about nothing else."""
    return currency if movement.startswith("currency:") else format_amount(amount, currency)


def _conflict_json(conflict: ConflictSummary) -> dict[str, Any]:
    """Return the JSON object; `told_amount` and `told_currency` are deprecated copies of `reported_*`."""
    former = {"told_amount": conflict.reported_amount, "told_currency": conflict.reported_currency}
    return asdict(conflict) | former


def _print_conflicts(command: Command, conflicts: Sequence[ConflictSummary], total: int) -> None:
    if not conflicts:
        command.console.print("No conflicts are open.")
        return
    table = Table(title="Conflicts", title_justify="left")
    for name in ("ID", "since", "payment", "transfer", "booked", "reported", "reported by", "waiting"):
        table.add_column(name, overflow="fold")  # ids must stay whole to be copied
    for each in conflicts:
        booked = "nothing"
        if each.booked_currency:
            booked = format_conflict_amount(each.movement, each.booked_amount or 0, each.booked_currency)
        table.add_row(
            str(each.id),
            f"{each.found_at:%Y-%m-%d %H:%M:%S}",
            f"{each.namespace}/{each.payment_id}",
            each.movement,
            booked,
            format_conflict_amount(each.movement, each.reported_amount, each.reported_currency),
            each.event_id,
            str(each.waiting),
        )
    command.console.print(table)
    command.print_more(total, len(conflicts))
    command.console.print(
        "No money of these payments moves until somebody decides. If the booked amount is right: resolve ID --keep "
        "booked. If the reported amount is right: resolve ID --keep reported. (make resolve ID=… KEEP=…)"
    )


def _print_held_back(command: Command, held_back: Sequence[HeldBackCount], money: WaitingMoney) -> None:
    if not held_back:
        command.console.print("Nothing is on hold.")
        return
    table = Table("source", "reason", "facts", "money", "next step", title="On hold", title_justify="left")
    for each in held_back:
        amounts = money.on_hold(each.reason, each.source)
        table.add_row(each.source, each.reason, str(each.facts), amounts, NEXT_STEP[each.reason])
    command.console.print(table)


def _print_other_mode(command: Command, counts: Sequence[OtherModeCount]) -> None:
    for each in counts:
        command.console.print(
            f"{each.source}: {each.events} {each.mode} events were recorded and moved no money, because the source is "
            f"of the other mode; the last at {each.last_recorded_at:%Y-%m-%d %H:%M:%S}. If the source is meant for "
            f'them: mode = "{each.mode}" in its settings.',
            style="yellow",
        )
