"""`check`: the settings of console and notifications, and with --apis whether APIs accept their credentials."""

import argparse
import asyncio
import sys
from collections.abc import Mapping

from contract.text import escaped
from operations import api_check
from operations.settings import SourcesFile
from runtime.command_line import fail
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --apis."""
    parser.add_argument(
        "--apis", action="store_true", help="ask the API of each source that has credentials for it; changes nothing"
    )


def run(environment: Mapping[str, str], *, asks_apis: bool) -> int:
    """Print every problem to stderr, and what APIs answer to stdout. Return the exit code.

    `environment`: what `${NAME}` in sources.toml may refer to.
    """
    from operations.console.settings import Settings as ConsoleSettings  # noqa: PLC0415 - as slow as the console
    from operations.notify.settings import Settings as NotifySettings  # noqa: PLC0415

    code = 0
    for kind in (ConsoleSettings, NotifySettings):
        try:
            load_settings(kind)
        except SettingsError as error:
            code = fail(f"{error}", SETTINGS_EXIT_CODE)
    return max(code, _ask_apis(environment)) if asks_apis else code


def _ask_apis(environment: Mapping[str, str]) -> int:
    path = load_settings(SourcesFile).sources_file
    apis, problems = api_check.read_apis(path, environment)
    checked = asyncio.run(api_check.check_apis(apis))
    for line in (*checked.answers, *checked.warnings):
        sys.stdout.write(f"{escaped(line)}\n")
    problems += checked.problems
    if not problems:
        return 0
    lines = (f"  - {problem}" for problem in problems)
    return fail("\n".join([f"Access to providers' APIs in {path} cannot be used:", *lines]), SETTINGS_EXIT_CODE)
