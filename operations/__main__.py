"""`python -m operations status|pending|why|dead|…`: see the state of events and money, and act on it.

`operations/cli/main.py` has the commands and the exit codes. Besides them, `console` serves the console until SIGTERM,
and `password` makes the hash of a password for it.
"""

import asyncio
import getpass
import os
import sys
from functools import partial

from consumers.settings import Settings
from operations.cli import main as cli
from runtime import logs
from runtime.command_line import fail
from runtime.process_manager import inherited_socket, notify_ready
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings

OTHER_COMMANDS = {
    "console": "serve the console until SIGTERM",
    "password": "read a password and print its hash, for CONSOLE_PASSWORD_HASH",
}


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    arguments = cli.parse(argv, OTHER_COMMANDS)
    if arguments.command == "password":
        return _print_hash()
    try:
        # `make status` must show what runs, also while .env has a mistake.
        settings = load_settings(Settings, warn=_warn if arguments.command == "status" else None)
        if arguments.command == "console":
            return _serve_console(settings)
    except SettingsError as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    if "actor" in arguments:
        arguments.actor = arguments.actor or os.environ.get("ACTOR")
    return cli.main(arguments, settings)


def _serve_console(settings: Settings) -> int:
    # Only now: the other commands need neither aiohttp nor jinja2.
    from operations.console import main as console  # noqa: PLC0415
    from operations.console.settings import Settings as ConsoleSettings  # noqa: PLC0415

    own = load_settings(ConsoleSettings)
    if own.console_port == 0:
        return fail("CONSOLE_PORT is 0, so there is no console.", SETTINGS_EXIT_CODE)
    logs.configure(own.console_log_level or settings.log_level)
    try:
        listening = inherited_socket(os.environ) or console.listen(own)
    except OSError as error:
        return fail(f"The console cannot listen on {own.console_host}:{own.console_port}: {error}", 1)
    on_ready = partial(notify_ready, dict(os.environ), os.getpid())
    asyncio.run(console.serve(settings, own, listening, on_ready))
    return 0


def _print_hash() -> int:
    from operations.console.main import print_hash  # noqa: PLC0415

    return print_hash(_read_password())


def _read_password() -> str:
    """Return what is typed twice at a terminal, or the first line of a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    return password if getpass.getpass("Once more: ") == password else ""


def _warn(problems: SettingsError) -> None:
    sys.stderr.write(f"{problems}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
