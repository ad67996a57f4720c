"""No program finds a secret in its environment that only another one reads."""

import dataclasses
from importlib import import_module
from pathlib import Path

import pytest

from runtime.setting_names import SECRET_SETTINGS
from runtime.settings import ProgramSettings
from tests.stack.test_programs import planned
from tests.support.checkout import ROOT

ROOMS = {
    "gateway": ("gateway",), "consumers": ("consumers",), "console": ("consumers", "operations"),
    "reconciler": ("consumers",),
}  # fmt: skip
"""The rooms whose settings each program reads. The servers read none."""

PROGRAMS = ("valkey", "postgres", *ROOMS)


def secrets_of(room: str) -> set[str]:
    """Return the names of the settings of a room that hold secrets."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / room).rglob("settings.py")]
    classes = {
        found
        for module in modules
        for found in vars(import_module(module)).values()
        if isinstance(found, type) and issubclass(found, ProgramSettings)
    }
    return {
        name.upper()
        for found in classes
        for name, field in found.model_fields.items()
        if "SecretStr" in repr(field.annotation)
    }


SECRETS = sorted({name for room in ("gateway", "consumers", "operations", "sql", "stack") for name in secrets_of(room)})


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gets_the_secrets_that_it_reads_and_no_other(tmp_path: Path, program: str) -> None:
    assert {"CONSOLE_PASSWORD_HASH", "MIGRATE_DATABASE_URL", "POSTGRES_PASSWORD", "REDIS_URL"} <= set(SECRETS)
    given = dataclasses.replace(planned(tmp_path), environ={name: f"value-of-{name}" for name in SECRETS})
    environment = next(each.environment for each in given.programs() if each.name == program)
    read = {name for room in ROOMS.get(program, ()) for name in secrets_of(room)}
    assert {name for name in SECRETS if f"value-of-{name}" in str(environment)} <= read
    assert {name for name in read if name in given.environ} <= environment.keys()


def test_the_list_of_secrets_that_containers_get_as_files_is_complete() -> None:
    assert set(SECRETS) == SECRET_SETTINGS
