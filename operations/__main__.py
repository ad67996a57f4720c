"""`python -m operations status|pending|why|dead|…`: see the state of events and money, and act on it.

`operations/cli/main.py` has the commands and the exit codes. Besides them, `console` serves the console until SIGTERM,
`password` makes the hash of a password for it, `notify` sends messages about what waits for a person to NOTIFY_URL, and
`reconciler` compares sources with their providers' lists.
"""

import asyncio
import getpass
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import structlog

from operations.cli import check, notify, reconciler
from operations.cli import main as cli
from operations.settings import Settings
from runtime import logs
from runtime.command_line import fail
from runtime.process_manager import inherited_socket, notify_ready
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings, read_env_files

if TYPE_CHECKING:
    from operations.notify.notifier import Notifier

log = structlog.get_logger()

EXIT_INTERRUPTED = 130
"""As shells have it for Ctrl-C."""

OTHER_COMMANDS = {
    "console": cli.Other("serve the console until SIGTERM"),
    "password": cli.Other("read a password and print its hash, for CONSOLE_PASSWORD_HASH"),
    "notify": cli.Other("send messages about what waits for a person to NOTIFY_URL", notify.add_arguments),
    "reconciler": cli.Other(
        "compare sources with their providers' lists, by `reconcile_every`", reconciler.add_arguments
    ),
    "check": cli.Other("check the settings of console and `notify`, and access to APIs", check.add_arguments),
}


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    arguments = cli.parse(argv, OTHER_COMMANDS)
    if arguments.command == "password":
        return _print_hash()
    try:
        if arguments.command == "check":
            return check.run(read_env_files() | dict(os.environ), asks_apis=arguments.apis)
        # `make status` must show what runs, also while .env has a mistake.
        settings = load_settings(Settings, warn=_warn if arguments.command == "status" else None)
        if arguments.command == "console":
            return _serve_console(settings)
        if arguments.command == "notify":
            return _notify(settings, once=arguments.once)
        if arguments.command == "reconciler":
            return _reconcile(settings, once=arguments.once)
    except SettingsError as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    if "actor" in arguments:
        arguments.actor = arguments.actor or os.environ.get("ACTOR")
    logs.configure("ERROR")  # standard output is for what a command prints, and it says why it failed
    return cli.main(arguments, settings, read_env_files() | dict(os.environ))


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
    asyncio.run(console.serve(settings, own, listening, on_ready, _notifier(settings)))
    return 0


def _notifier(settings: Settings) -> "Notifier | None":
    """Return the console's notifier. A mistake in its settings takes nobody's console away."""
    from operations.notify.notifier import Notifier  # noqa: PLC0415
    from operations.notify.settings import Settings as NotifySettings  # noqa: PLC0415
    from operations.servers import Servers  # noqa: PLC0415

    try:
        own = load_settings(NotifySettings)
    except SettingsError as error:
        log.error("nobody is notified of what waits for a person", reason=str(error))  # noqa: TRY400 -- it says all
        return None
    return Notifier(Servers(settings), own) if own.is_asked_for else None


def _notify(settings: Settings, *, once: bool) -> int:
    from operations.notify import program  # noqa: PLC0415
    from operations.notify.settings import Settings as NotifySettings  # noqa: PLC0415
    from operations.servers import Servers  # noqa: PLC0415

    own = load_settings(NotifySettings)
    if not own.is_asked_for:
        return fail("NOTIFY_URL is not set, so there is nobody to notify.", SETTINGS_EXIT_CODE)
    logs.configure(settings.log_level)
    if once:
        return asyncio.run(program.notify_once(Servers(settings), own))
    asyncio.run(program.serve(Servers(settings), own))
    return 0


def _reconcile(settings: Settings, *, once: bool) -> int:
    from contract.accounts import PostingRulesError  # noqa: PLC0415
    from operations.reconcile import program  # noqa: PLC0415
    from operations.reconcile.access import read_apis  # noqa: PLC0415
    from operations.servers import Servers  # noqa: PLC0415
    from providers.apis import AccessError  # noqa: PLC0415

    try:
        apis = read_apis(settings.sources_file, read_env_files() | dict(os.environ))
    except (AccessError, PostingRulesError) as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    scheduled = {source: api for source, api in apis.items() if api.access.reconcile_every is not None}
    if not scheduled:
        return fail("No source has reconcile_every, so there is nothing to compare.", SETTINGS_EXIT_CODE)
    logs.configure(settings.log_level)
    if once:
        return asyncio.run(program.reconcile_once(Servers(settings), scheduled))
    on_ready = partial(notify_ready, dict(os.environ), os.getpid())
    asyncio.run(program.serve(Servers(settings), scheduled, on_ready))
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
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(fail("Stopped. What was done until then stays done.", EXIT_INTERRUPTED))
