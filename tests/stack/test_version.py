"""The version is written in pyproject.toml; everything else that names it agrees."""

import re
import subprocess
from pathlib import Path

import pytest

from runtime.version import version
from tests.support.processes import Programs

ROOT = Path(__file__).parents[2]


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == version()


def test_the_image_is_tagged_with_the_version_and_its_release_line(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@"\n')
    docker.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    shown = subprocess.run(["make", "image"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    tags = re.findall(r"--tag (\S+)", shown.stdout)
    line = version().rpartition(".")[0]
    assert tags == ["payment-webhooks", f"payment-webhooks:{version()}", f"payment-webhooks:{line}"]
    assert f"FROM payment-webhooks:{line}\n" in (ROOT / "docs" / "examples" / "shop" / "Dockerfile").read_text()


@pytest.mark.parametrize("program", ["gateway", "consumers", "operations", "sql", "stack"])
async def test_every_program_prints_it(programs: Programs, program: str) -> None:
    assert await programs.run(program, {}, "--version") == (0, f"payment-webhooks {version()}\n", "")
