"""Every program explains itself and names its version, without any setting."""

import pytest

from runtime.version import version
from tests.support.processes import Programs

PROGRAMS = pytest.mark.parametrize("module", ["gateway", "consumers", "operations", "sql", "stack"])


@PROGRAMS
async def test_help_is_printed_and_nothing_is_started(programs: Programs, module: str) -> None:
    code, output, errors = await programs.run(module, {}, "--help")
    assert (code, errors) == (0, "")
    assert f"usage: python -m {module}" in output
    assert "Exit codes: 0 " in output


@PROGRAMS
async def test_the_version_is_printed(programs: Programs, module: str) -> None:
    assert await programs.run(module, {}, "--version") == (0, f"payment-webhooks {version()}\n", "")


@PROGRAMS
async def test_an_unknown_option_is_wrong_usage(programs: Programs, module: str) -> None:
    code, output, errors = await programs.run(module, {}, "--no-such-option")
    assert (code, output) == (2, "")
    assert f"usage: python -m {module}" in errors


async def test_a_command_given_to_the_workers_is_one_of_operations(programs: Programs) -> None:
    assert await programs.run("consumers", {}, "pending", "--help") == await programs.run(
        "operations", {}, "pending", "--help"
    )
