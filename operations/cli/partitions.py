"""`partitions`: change the number of streams among which events are shared."""

import argparse
from dataclasses import asdict

from contract.keys import PARTITIONS_MAX
from operations.cli.command import Command, Subcommand, add_act
from operations.partitions import Change, set_partitions


async def change_partitions(command: Command) -> int:
    """Have workers read the partitions; the gateways' setting comes after it."""
    change = await set_partitions(command.servers, command.arguments.number, act=command.act)
    if command.arguments.json:
        command.print_json(asdict(change))
    else:
        command.console.print(_sentence(change))
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_act(parser)
    parser.add_argument("number", type=_number, metavar="N", help=f"from 1 to {PARTITIONS_MAX}")


COMMAND = Subcommand(
    "change the number of partitions that workers read; then give gateways the same PARTITIONS", _add_arguments,
    change_partitions,
)  # fmt: skip


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= PARTITIONS_MAX:
        raise argparse.ArgumentTypeError(f"it is a whole number from 1 to {PARTITIONS_MAX}")
    return int(text)


def _sentence(change: Change) -> str:
    of_before = "" if change.now >= change.before else (
        f" Those above it are read until they are empty, and after that too: `make status` names them while they hold "
        f"entries ({change.read} are read)."
    )  # fmt: skip
    return (
        f"Workers read {change.read} partitions within seconds. Gateways use {change.now} once they run with "
        f"PARTITIONS={change.now}; before it was {change.before}.{of_before}"
    )
