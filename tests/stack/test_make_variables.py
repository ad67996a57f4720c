"""Variables of make hold what senders chose, such as ids: make and its shell pass them on and run nothing in them."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()

TARGETS = re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)

VARIABLES = (
    "ACTOR", "ANYTHING", "ARGS", "AS_JSON", "BEFORE", "CONFLICT", "FILE", "ID", "INSTALL", "JSON", "KEEP", "LIMIT",
    "ALL", "EVENT", "GAPS", "MINUTES", "N", "PY", "PYTHON", "QUERY", "REASON", "REPAIR", "SEED", "SINCE", "SOURCE",
    "STACK", "TYPE", "UNTIL", "UPGRADE", "VERSION", "WITH_ARGS", "literal",
)  # fmt: skip

CODE = {
    "quotes": '"; touch canary; "',
    "single quotes": "'; touch canary; '",
    "backticks": "`touch canary`",
    "a substitution": "$(touch canary)",
    "make's shell": "$(shell touch canary)",
    "make's shell in braces": "${shell touch canary}",
    "make's shell twice": "$$(shell touch canary) $$$$(shell touch canary)",
    "make's eval": "$(eval $$(shell touch canary))",
    "a closing parenthesis": ")$(shell touch canary)",
    "a line": "x\ntouch canary\n",
    "a recipe": "x\n\ttouch canary",
    "a pipe": "| touch canary &",
    "an end of line": "\\\n; touch canary # \\",
}

IDS = (
    *CODE.values(), "-x", "--help", "--", "=", "a b  c", "*", "~", "$HOME", "$$", "%", "a#b", "a\\", "naïve “é” 支付",
    "'", '"', "evt_1", "$(", "a=b", "all",
)  # fmt: skip
"""What an id may be: each is passed on as it is."""

ABOUT_AN_ID = {
    "why": ["operations", "why", "--"],
    "dead": ["operations", "dead", "--"],
    "replay": ["operations", "replay", "--"],
    "discard": ["operations", "discard", "--"],
    "resolve": ["operations", "resolve", "--keep=booked", "--"],
}

SHOWN = """#!/usr/bin/env python3
import json, sys
print(json.dumps(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which everything is installed, and python prints its arguments. Nothing may have run afterwards."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("requirements.lock", "requirements-dev.lock", ".venv/runtime", ".venv/dev"):
        (tmp_path / name).touch()
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "bin").mkdir()
    for name in (".venv/bin/python", ".venv/bin/lint-imports", "bin/docker"):
        (tmp_path / name).write_text(SHOWN)
        (tmp_path / name).chmod(0o755)
    yield tmp_path
    assert not (tmp_path / "canary").exists()


def make(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines that make prints."""
    # Without what an outer `make test` has set.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("M")} | dict(environ or {})
    done = subprocess.run(
        ["make", "--silent", "--file", str(ROOT / "Makefile"), "--old-file=.venv/runtime", "--old-file=.venv/dev",
         *arguments],
        cwd=folder, env=kept | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("target", TARGETS)
def test_no_target_runs_code_in_a_variable(folder: Path, target: str) -> None:
    codes = itertools.cycle(CODE.values())
    for arguments in ([], ["-e"]):
        values = dict(zip(VARIABLES, codes, strict=False))
        make(folder, *arguments, target, environ=values)
        make(folder, *arguments, target, *(f"{variable}={value}" for variable, value in values.items()))


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_no_code_runs_in_any_variable(folder: Path, code: str) -> None:
    make(folder, "resolve", *(f"{variable}={code}" for variable in VARIABLES))
    make(folder, "resolve", environ=dict.fromkeys(VARIABLES, code))


@pytest.mark.parametrize("target", ABOUT_AN_ID)
def test_an_id_reaches_the_program_as_it_is(folder: Path, target: str) -> None:
    for value in IDS if target == "why" else ("-x", "a b  c", *list(CODE.values())[:3]):
        expected = [["-m", *ABOUT_AN_ID[target], value]]
        assert [json.loads(line) for line in make(folder, target, f"ID={value}", "KEEP=booked")] == expected
        shown = make(folder, target, environ={"ID": value, "KEEP": "booked"})
        assert [json.loads(line) for line in shown] == expected


def test_further_arguments_may_be_quoted(folder: Path) -> None:
    python = folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(sys.executable)
    (folder / "pytest.py").write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    [shown] = make(folder, "test", r"""ARGS=-k 'one or two' "a b" $HOME $(shell touch canary) `touch canary`""")
    ours = ["-k", "one or two", "a b", "$HOME", "$(shell", "touch", "canary)", "`touch", "canary`"]
    assert json.loads(shown) == ["-n", "auto", "--dist", "worksteal", *ours]


def test_recipes_name_no_variable_of_the_user_in_the_way_of_make() -> None:
    recipes = [line for line in MAKEFILE.splitlines() if line.startswith("\t")]
    used = set(re.findall(r"(?<!\$)\$[({]?(\w+|@)", "\n".join(recipes)))
    ours = {"@", *re.findall(r"^override (\w+) ", MAKEFILE, re.MULTILINE)}
    assert used <= ours
