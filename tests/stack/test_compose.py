"""How the engine's answers about containers are read. CI runs the whole stack on a real engine."""

import dataclasses
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr
from typing_extensions import override

from stack import show
from stack.base import StackError
from stack.compose import Compose
from stack.compose_secrets import PASSWORDS
from stack.containers import NOT_READABLE, CommandFailedError, Container, output, read_container, start_commands
from stack.lock import Lock
from stack.settings import Settings
from stack.state import Ports, State, write

ROOT = Path(__file__).parents[2]


class Given(Compose):
    """A project with the given containers; no engine is asked."""

    def __init__(self, data_dir: Path, lines: list[str], environ: Mapping[str, str] | None = None) -> None:
        super().__init__(Settings(data_dir=data_dir), environ or {})
        self._lines = lines
        self.asked: list[tuple[str, ...]] = []

    @override
    def _docker(self, *arguments: str) -> str:
        self.asked.append(arguments)
        del self._lines[int(arguments[2])]
        return ""

    @override
    def _containers(self) -> list[Container]:
        return [read_container(f"{number}", line) for number, line in enumerate(self._lines)]


UP = "2026-01-02T03:04:05.123456789Z"
NEVER = "0001-01-01T00:00:00Z"
SERVERS = [f"{name} running 0 healthy 7 {UP} 0" for name in ("valkey", "postgres", "gateway")]
MIGRATED = f"migrate exited 0 none 0 {UP} 0"


def test_a_line_of_docker_inspect_is_parsed() -> None:
    found = read_container("c0ffee", f"consumers running 0 starting 4711 {UP} 3")
    assert (found.service, found.container_id, found.health) == ("consumers", "c0ffee", "starting")
    assert (found.process.pid, found.process.restarts, found.runs) == (4711, 3, True)
    assert found.process.uptime_s > 0


def test_a_container_is_done_only_if_it_exited_with_code_0() -> None:
    assert read_container("1", MIGRATED).done
    assert not read_container("1", f"migrate exited 3 none 0 {UP} 0").done
    assert not read_container("1", f"migrate created 0 none 0 {NEVER} 0").done


@pytest.mark.parametrize("state", [f"restarting 1 starting 0 {UP} 9", f"exited 137 unhealthy 0 {UP} 0"])
def test_a_worker_that_is_not_running_is_reported_as_missing(tmp_path: Path, state: str) -> None:
    stack = Given(tmp_path, [*SERVERS, MIGRATED, f"consumers running 0 healthy 8 {UP} 0", f"consumers {state}"])
    assert stack.missing() == ["consumers"]
    assert [process.name for process in stack.running()] == ["consumers", "gateway", "postgres", "valkey"]


def test_restarts_are_those_of_a_service_and_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = Given(
        tmp_path, [*SERVERS, *(f"consumers running 0 healthy 8 {UP} {count}" for count in (0, 3))]
    ).running()
    assert [process.restarts for process in running] == [3, 3, 0, 0, 0]
    show.processes(running)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in (lines[1], lines[3])] == ["3", "0"]
    assert not lines[2].split()[-1].isdecimal()
    assert lines[-1] == "Restarts: how often a process of the program ended, and nobody had stopped it."


def test_a_stack_scaled_to_zero_workers_has_none_missing(tmp_path: Path) -> None:
    assert Given(tmp_path, [*SERVERS, MIGRATED]).missing() == []


def test_a_server_without_a_container_is_reported_as_missing(tmp_path: Path) -> None:
    assert Given(tmp_path, SERVERS[:2]).missing() == ["gateway"]


def test_a_worker_is_killed_from_inside_so_that_the_engine_restarts_it(tmp_path: Path) -> None:
    stack = Given(tmp_path, [*SERVERS, f"consumers running 0 healthy 8 {UP} 0", f"consumers exited 137 none 9 {UP} 0"])
    assert (stack.workers_wanted, stack.workers()) == (2, [8])
    assert stack.kill_worker(8)
    [(command, detached, container_id, *killing)] = stack.asked
    assert (command, detached, container_id) == ("exec", "--detach", "3")
    assert killing == ["sh", "-c", "kill -KILL $(cat /proc/1/task/1/children)"]
    assert stack.workers() == []
    assert not stack.kill_worker(7)  # a server's
    assert not stack.kill_worker(9)  # it does not run any more
    with pytest.raises(StackError, match="nothing runs here"):
        _ = Given(tmp_path, []).workers_wanted


def test_up_refuses_tls_before_anything_starts_and_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", gateway_tls_cert=Path("a.crt"), gateway_tls_key=Path("a.key"))
    with pytest.raises(StackError, match="serves plain HTTP only; nothing was started"):
        Compose(settings, {}).up()
    assert not settings.data_dir.exists()


def test_without_docker_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="there is no `docker` here"):
        Compose(Settings(data_dir=tmp_path), {"PATH": str(tmp_path)}).running()


def test_the_sources_file_is_passed_as_an_absolute_path_not_as_the_name_of_a_volume(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, sources_file=Path("mine.toml"))
    assert Compose(settings, {})._compose_environment()["SOURCES_FILE"] == str(Path("mine.toml").resolve())


def test_the_handlers_folder_is_passed_as_an_absolute_path(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, handlers_folder=Path("mine"))
    assert Compose(settings, {})._compose_environment()["HANDLERS_FOLDER"] == str(Path("mine").resolve())


@pytest.mark.parametrize("service", ["gateway", "consumers"])
def test_services_that_read_the_sources_mount_them_and_are_replaced_when_they_change(service: str) -> None:
    text = (ROOT / "compose.yaml").read_text()
    part = re.split(r"\n(?=\S|  \w)", text.partition(f"\n  {service}:\n")[2])[0]
    assert "SOURCES_FILE: sources.toml" in part
    assert f"SETTINGS_DIGEST: ${{{service.upper()}_SETTINGS_DIGEST:-}}" in part
    assert "- *sources\n" in part or "volumes: [*sources]" in part


def test_a_running_gateway_is_replaced_last_and_by_itself() -> None:
    before = [read_container(f"{number}", line) for number, line in enumerate([*SERVERS, MIGRATED])]
    assert start_commands(before, 4) == [("--build", "--scale=consumers=4", "consumers"), ("gateway",)]


@pytest.mark.parametrize("gateway", [[], [f"gateway exited 137 none 0 {UP} 0"]])
def test_a_stack_whose_gateway_does_not_run_starts_at_once(gateway: list[str]) -> None:
    before = [read_container(f"{number}", line) for number, line in enumerate([*SERVERS[:2], *gateway])]
    assert start_commands(before, 2) == [("--build", "--scale=consumers=2", "consumers", "gateway")]


PORTS = Ports(redis=6379, postgres=5432, gateway=8080, consumers_metrics=9100)


@pytest.mark.parametrize(
    ("applied", "asked_for", "wanted"),
    [
        pytest.param(2, 2, 3, id="make consumers is kept"),
        pytest.param(2, 5, 5, id="a changed setting is applied"),
        pytest.param(None, 5, 3, id="not known before"),
    ],
)
def test_up_changes_the_number_of_workers_only_if_the_setting_changed(
    tmp_path: Path, applied: int | None, asked_for: int, wanted: int
) -> None:
    stack = Given(tmp_path, [*SERVERS, *[f"consumers running 0 healthy {pid} {UP} 0" for pid in (7, 8, 9)]])
    stack._settings = Settings(data_dir=tmp_path, consumers=asked_for)
    write(tmp_path, State("compose", PORTS, consumers=applied))
    assert stack._wanted(stack._containers()) == (State("compose", PORTS, consumers=applied), wanted)


def test_a_port_that_is_set_while_the_stack_runs_replaces_the_one_before(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    stack = Given(tmp_path, SERVERS)
    stack._settings = Settings(data_dir=tmp_path, gateway_port=port)
    write(tmp_path, State("compose", PORTS))
    chosen, _ = stack._wanted(stack._containers())
    assert chosen.ports == dataclasses.replace(PORTS, gateway=port)


def test_a_second_up_waits_and_says_so_in_the_end(tmp_path: Path) -> None:
    with Lock(tmp_path / "up.lock"), pytest.raises(StackError, match="another `make up`"):
        Compose(Settings(data_dir=tmp_path, up_timeout_s=0.1), {}).up()


def test_a_failed_command_keeps_what_the_program_said_apart() -> None:
    with pytest.raises(CommandFailedError, match=r"`sh -c .*` failed") as failed:
        output(["sh", "-c", "echo GATEWAY_PORT is not a number >&2; exit 2"], {"PATH": os.defpath}, 10)
    assert (failed.value.exit_code, failed.value.said) == (2, "GATEWAY_PORT is not a number")


class CannotRead(Given):
    """A project whose gateway may not read sources.toml; everything else succeeds."""

    @override
    def _run(self, *arguments: str, timeout_s: float = 0, secrets: Path | None = None) -> str:
        if "gateway" in arguments:
            raise CommandFailedError(["docker"], 2, "sources.toml cannot be read: Permission denied")
        return ""


def test_a_file_that_the_container_cannot_read_is_reported_with_what_to_do(tmp_path: Path) -> None:
    stack = CannotRead(tmp_path, [])
    stack._settings = stack._settings.model_copy(update={name.lower(): SecretStr("s") for name in PASSWORDS})
    with pytest.raises(StackError) as refused:
        stack.check()
    assert str(refused.value).splitlines()[:2] == ["sources.toml cannot be read: Permission denied", NOT_READABLE]
