"""`make pin`: the digests of the images that are in use, as their registry has them, in `.env`."""

import json
import os
from pathlib import Path

import pytest

from runtime.env_file import read_env_file
from stack.base import StackError
from stack.compose_images import images, pin

ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compose.yaml").write_text((ROOT / "compose.yaml").read_text())
    return tmp_path


def docker(folder: Path, answers: dict[str, list[str]]) -> dict[str, str]:
    """Return an environment whose `docker` pulls anything, and inspects images as a test says."""
    script = folder / "bin" / "docker"
    script.parent.mkdir()
    cases = "".join(f"*' {image}') echo '{json.dumps(known)}';;\n" for image, known in answers.items())
    script.write_text(f'#!/bin/sh\ncase "$*" in\npull*) ;;\n{cases}*) echo "[]";;\nesac\n')
    script.chmod(0o755)
    return {"PATH": f"{script.parent}:{os.defpath}"}


KNOWN = {
    "python:3.13-slim": [f"python@{DIGEST}"],
    "valkey/valkey:9.0-alpine": [f"mirror.example/valkey@sha256:{'b' * 64}", f"docker.io/valkey/valkey@{DIGEST}"],
    "postgres:18-alpine": [f"docker.io/library/postgres@{DIGEST}"],
}


def test_the_digests_are_written_and_read_again(folder: Path) -> None:
    (folder / ".env").write_text(f"A=1\nVALKEY_IMAGE=valkey/valkey:9.0-alpine@sha256:{'c' * 64}\nB=2\n")
    environ = docker(folder, KNOWN)
    pin(environ | read_env_file(folder / ".env"), folder / ".env")
    assert read_env_file(folder / ".env") == {
        "A": "1",
        "VALKEY_IMAGE": f"valkey/valkey:9.0-alpine@{DIGEST}",
        "B": "2",
        "PYTHON_IMAGE": f"python:3.13-slim@{DIGEST}",
        "POSTGRES_IMAGE": f"postgres:18-alpine@{DIGEST}",
    }
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_an_image_without_a_digest_changes_nothing(folder: Path) -> None:
    environ = docker(folder, KNOWN | {"postgres:18-alpine": []})
    with pytest.raises(StackError, match="postgres:18-alpine has no digest of a registry; nothing was written"):
        pin(environ, folder / ".env")
    assert not (folder / ".env").exists()


@pytest.mark.usefixtures("folder")
def test_the_images_are_those_in_use_and_of_ones_own_registry() -> None:
    assert set(images({})) == {"PYTHON_IMAGE", "VALKEY_IMAGE", "POSTGRES_IMAGE"}
    observed = images({"COMPOSE_PROFILES": "observability", "GRAFANA_IMAGE": f"localhost:5000/grafana:12@{DIGEST}"})
    assert observed["GRAFANA_IMAGE"] == "localhost:5000/grafana:12"
    assert {"PROMETHEUS_IMAGE", "JAEGER_IMAGE"} <= observed.keys()
