"""The shape of compose.yaml, the Dockerfile, the Makefile and the CI files, which no engine runs here."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from runtime.setting_names import COMPOSE_NAMES, OTHER_NAMES, SETTING_NAMES

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "compose.yaml").read_text()

SERVICE = re.compile(r"^  (\w+):\n((?:    .*\n|\n)+)", re.MULTILINE)
SERVICES = dict(SERVICE.findall(COMPOSE.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0] + "\n"))
CONFINED = COMPOSE.partition("x-confined:")[2].partition("x-part:")[0]
PART = COMPOSE.partition("x-part:")[2].partition("services:")[0]


def setting(service: str, name: str) -> str:
    """Return the line that sets it: the service's own, or the one it shares with other services."""
    own = SERVICES[service]
    shared = (PART if "<<: *part" in own else "") + CONFINED
    for text, indent in ((own, 4), (shared, 2)):
        if match := re.search(rf"^ {{{indent}}}{name}:.*(?:\n {{{indent + 1},}}.*)*", text, re.MULTILINE):
            return match.group()
    return ""


def test_the_services_are_the_processes_of_the_picture() -> None:
    on_request = {name for name, text in SERVICES.items() if "profiles: [observability]" in text}
    ours = {"valkey", "postgres", "migrate", "gateway", "consumers", "console", "reconciler"}
    assert set(SERVICES) - on_request == ours
    assert on_request == {"prometheus", "alertmanager", "grafana", "jaeger"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_superfluous_rights(service: str) -> None:
    assert "<<: *part" in SERVICES[service] or "<<: *confined" in SERVICES[service]
    assert setting(service, "read_only").endswith("true")
    assert "[ALL]" in setting(service, "cap_drop")
    assert "no-new-privileges:true" in setting(service, "security_opt")
    assert setting(service, "user")
    assert "root" not in setting(service, "user")


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_a_health_check_and_time_to_stop(service: str) -> None:
    assert setting(service, "healthcheck")
    assert setting(service, "stop_grace_period")
    assert setting(service, "logging")


@pytest.mark.parametrize("service", ["valkey", "postgres"])
def test_a_server_keeps_its_data_and_is_reachable_from_this_host_only(service: str) -> None:
    assert f"{service}:/" in setting(service, "volumes")
    assert '["127.0.0.1:' in setting(service, "ports")


def test_valkey_keeps_every_write_and_evicts_nothing() -> None:
    command = setting("valkey", "command")
    for option in ('--appendonly, "yes"', "--appendfsync, always", "--maxmemory-policy, noeviction", "valkey.conf"):
        assert option in command


def test_no_worker_starts_before_the_migrations_are_done() -> None:
    assert "service_completed_successfully" in setting("consumers", "depends_on")
    assert 'restart: "no"' in SERVICES["migrate"]


def test_the_workers_see_the_users_handlers() -> None:
    own = SERVICES["consumers"]
    assert "source: ${HANDLERS_FOLDER:-./docs/examples}\n        target: /handlers\n        read_only: true" in own
    assert "HANDLERS_FOLDER: /handlers\n" in own


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_limits(service: str) -> None:
    assert re.search(r"mem_limit: (\$\{\w+_MEMORY:-)?\d+[mg]", setting(service, "mem_limit"))
    assert "core: 0" in setting(service, "ulimits")
    if service != "migrate":
        assert setting(service, "pids_limit")


def test_valkey_stops_taking_more_before_the_engine_kills_it() -> None:
    """The copy of memory that changes while the append-only file is rewritten has room, too."""
    (least,) = re.findall(r"VALKEY_MAXMEMORY:-(\d+)gb", COMPOSE)
    (limit,) = re.findall(r"VALKEY_MEMORY:-(\d+)g", COMPOSE)
    assert int(limit) >= 2 * int(least)


def test_every_name_that_the_compose_file_takes_is_known_and_described() -> None:
    taken = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert taken <= SETTING_NAMES | OTHER_NAMES
    assert taken - SETTING_NAMES >= COMPOSE_NAMES
    described = (ROOT / ".env.example").read_text()
    assert [name for name in COMPOSE_NAMES - {"CONTAINER_SECRETS"} if f"#{name}=" not in described] == []


def test_the_example_shows_the_defaults_of_the_compose_file() -> None:
    described = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name, default in re.findall(r"\$\{(\w+):-([^}]+)\}", COMPOSE):
        if name in COMPOSE_NAMES - {"CONTAINER_SECRETS"}:
            assert described[name] == default
    assert f"ARG PYTHON_IMAGE={described['PYTHON_IMAGE']}\n" in (ROOT / "Dockerfile").read_text()


def test_no_password_is_in_the_compose_file_or_in_a_variable_of_a_container() -> None:
    for name, value in re.findall(r"\b(\w*(?:PASSWORD|SECRET|_URL)\w*): (.+)", COMPOSE):
        plain = name in ("GATEWAY_OPERATORS_URL", "CONSOLE_URL", "SECRETS_FOLDER", "POSTGRES_PASSWORD_FILE")
        assert value == '""' or plain, name


def test_the_image_contains_no_secret_and_runs_as_an_ordinary_user() -> None:
    assert re.search(r"^USER \d+:\d+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert "--require-hashes" in (ROOT / "Dockerfile").read_text()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert not [line for line in lines if line.startswith("!") and ("env" in line or line == "!.")]


def test_the_image_is_built_once_and_never_pulled() -> None:
    assert re.findall(r"^ +build:", COMPOSE, re.MULTILINE) == ["    build:"]
    assert "build: {context: .," in setting("migrate", "build")
    assert "never" in setting("gateway", "pull_policy")
    assert "never" in setting("consumers", "pull_policy")
    assert "never" in setting("console", "pull_policy")
    assert "never" in setting("reconciler", "pull_policy")


def test_a_file_only_its_owner_may_read_is_readable_in_the_image() -> None:
    assert "chmod -R a+rX" in (ROOT / "Dockerfile").read_text()


def test_files_that_the_image_copies_exist_and_are_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in re.findall(r"^COPY (?!--)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_make_alone_lists_the_targets() -> None:
    shown = make()
    assert shown.returncode == 0
    for target in ("up", "down", "consumers", "status", "replay", "audit", "demo", "test", "prove"):
        assert re.search(rf"^  make {target} +\S", shown.stdout, re.MULTILINE)


@pytest.mark.parametrize("target", ["consumers", "replay", "discard", "resolve", "release"])
def test_a_target_without_its_argument_shows_an_example(tmp_path: Path, target: str) -> None:
    shown = make("--file", str(ROOT / "Makefile"), "--old-file", ".venv/runtime", target, cwd=_with_venv(tmp_path))
    assert shown.returncode != 0
    assert f"make {target} " in shown.stdout


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 || exit 1\n')
    old.chmod(0o755)
    shown = make("--file", str(ROOT / "Makefile"), f"PYTHON={old}", ".venv/bin/python", cwd=tmp_path)
    assert shown.returncode != 0
    assert "Python 3.11 or later is needed" in shown.stdout
    assert "3.8.1" in shown.stdout
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_same_commands_as_a_developer() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for command in ("make lint", "make test"):
        assert command in script
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "ci.yaml").read_text()


def _with_venv(folder: Path) -> Path:
    """Create a folder in which make finds everything already installed."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "requirements.lock").touch()
    for name in ("bin/python", "runtime"):
        (folder / ".venv" / name).touch()
    return folder
