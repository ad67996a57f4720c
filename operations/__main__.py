"""`python -m operations status|pending|why|dead|…`: see the state of events and money, and act on it.

`operations/cli/main.py` has the commands and the exit codes.
"""

import getpass
import os
import sys

from consumers.settings import Settings
from operations.cli import main as cli
from runtime.command_line import fail
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    arguments = cli.parse(argv)
    try:
        # `make status` must show what runs, also while .env has a mistake.
        settings = load_settings(Settings, warn=_warn if arguments.command == "status" else None)
    except SettingsError as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    if arguments.command == "acknowledge":
        arguments.actor = arguments.actor or os.environ.get("ACTOR") or getpass.getuser()
    return cli.main(arguments, settings)


def _warn(problems: SettingsError) -> None:
    sys.stderr.write(f"{problems}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
