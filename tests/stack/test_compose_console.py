"""The console of a stack in containers: what it is given, and that its failures are its own."""

import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from typing_extensions import override

from operations.console.settings import Settings as ConsoleSettings
from operations.notify.settings import Settings as NotifySettings
from operations.settings import Settings as SharedSettings
from runtime.env_file import read_env_file
from runtime.setting_names import SECRET_SETTINGS
from stack.base import StackError
from stack.compose import Compose
from stack.compose_console import start_console
from stack.containers import CommandFailedError, Container, read_container
from stack.ports import HOST, free_port
from stack.ready import Waiter
from stack.settings import Settings
from stack.state import ADDRESSES, Ports, State, write, write_environment
from tests.runtime.test_settings import names_of

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
CONSOLE = SERVICES["console"]
UP = "2026-01-02T03:04:05.123456789Z"
RUNS = f"console running 0 healthy 9 {UP} 0"
CRASHES = f"console restarting 2 unhealthy 0 {UP} 7"
READS = re.compile(r"settings\.([a-z_]+)")


def test_the_console_gets_every_setting_that_it_reads_and_nothing_else_of_env() -> None:
    given = set(CONSOLE["environment"])
    files = [path for path in (ROOT / "operations").rglob("*.py") if "reconcile" not in path.parts]  # another program
    read = {name.upper() for path in files for name in READS.findall(path.read_text())}
    needed = (read & names_of(SharedSettings)) | names_of(ConsoleSettings) | names_of(NotifySettings)
    # Two settings are compared with others, of which the console so needs the same values.
    needed |= {"LOCK_TTL_MS", "TRANSACTION_IDLE_S"}
    assert given == needed - SECRET_SETTINGS | {"SETTINGS_DIGEST", "SECRETS_FOLDER"}
    assert CONSOLE["env_file"] == []


def test_the_console_is_on_loopback_only_and_reads_the_files_of_the_workers() -> None:
    assert CONSOLE["ports"] == ["127.0.0.1:${CONSOLE_PORT:-9180}:9180"]
    assert CONSOLE["volumes"][:-1] == SERVICES["consumers"]["volumes"][:-1]
    assert all(volume["read_only"] for volume in CONSOLE["volumes"])
    assert "http://127.0.0.1:9180/healthz" in CONSOLE["healthcheck"]["test"][-1]


def test_nothing_waits_for_the_console() -> None:
    waiting = [name for name, service in SERVICES.items() if "console" in service.get("depends_on", {})]
    assert (waiting, {each["condition"] for each in CONSOLE["depends_on"].values()}) == ([], {"service_started"})


class Project:
    """A project whose engine does what a test says."""

    def __init__(self, *lines: str, fails: str = "") -> None:
        self.lines, self.fails = lines, fails
        self.asked: list[tuple[str, ...]] = []

    def run(self, *arguments: str) -> str:
        self.asked.append(arguments)
        if arguments[0] == "up" and self.fails:
            raise CommandFailedError(["docker"], 1, self.fails)
        return "CONSOLE_PASSWORD_HASH: its part 1 is neither\n" if "logs" in arguments else ""

    def containers(self) -> list[Container]:
        return [read_container(f"{number}", line) for number, line in enumerate(self.lines)]

    def start(self, url: str | None, timeout_s: float = 0) -> None:
        start_console(self.run, self.containers, url, Waiter(timeout_s))


STARTS = ("up", "--detach", "--no-deps", "console")


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def healthy_url() -> Iterator[str]:
    with HTTPServer((HOST, 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()


def test_the_console_is_started_by_itself(healthy_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(RUNS)
    project.start(healthy_url)
    assert project.asked == [STARTS]
    assert capsys.readouterr().err == ""


def test_a_console_that_does_not_become_ready_is_a_sentence_with_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(CRASHES)
    project.start(f"http://{HOST}:{free_port()}")
    said = capsys.readouterr().err
    assert said.startswith("The console does not run; everything else does. console does not answer: ")
    assert said.endswith("The last lines of console:\nCONSOLE_PASSWORD_HASH: its part 1 is neither\n")


def test_a_console_that_the_engine_refuses_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Project(fails="no such image").start(f"http://{HOST}:{free_port()}")
    assert "The console does not run; everything else does. `docker` failed (1):\nno such" in capsys.readouterr().err


def test_a_port_that_another_program_has_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HOST, 0)) as other:
        port, project = other.getsockname()[1], Project()
        project.start(f"http://{HOST}:{port}")
    assert f"The console does not run; everything else does: port {port} is taken by" in capsys.readouterr().err
    assert project.asked == []


@pytest.mark.parametrize(("lines", "asked"), [([RUNS], [("rm", "--stop", "--force", "console")]), ([], [])])
def test_without_a_port_there_is_no_console(lines: list[str], asked: list[tuple[str, ...]]) -> None:
    project = Project(*lines)
    project.start(None)
    assert project.asked == asked


PORTS = Ports(redis=6379, postgres=5432, gateway=8080, consumers_metrics=9100, console=9181)


class Given(Compose):
    """A project with the given containers; no engine is asked."""

    def __init__(self, data_dir: Path, ports: Ports, lines: list[str]) -> None:
        super().__init__(Settings(data_dir=data_dir), {})
        write(data_dir, State("compose", ports))
        self._lines = lines
        self.stopped: list[tuple[str, ...]] = []

    @override
    def _containers(self) -> list[Container]:
        return [read_container(f"{number}", line) for number, line in enumerate(self._lines)]

    @override
    def _run(self, *arguments: str, timeout_s: float = 0, secrets: Path | None = None) -> str:
        self.stopped.append(arguments)
        if arguments[-1] == "gateway":
            raise StackError("enough")
        return ""


ALL = [f"{name} running 0 healthy 7 {UP} 0" for name in ("valkey", "postgres", "gateway", "consumers")]


@pytest.mark.parametrize(
    ("port", "lines", "missing"),
    [(9181, [RUNS], []), (9181, [CRASHES], ["console"]), (9181, [], ["console"]), (0, [], [])],
)
def test_status_names_a_console_that_should_run(
    tmp_path: Path, port: int, lines: list[str], missing: list[str]
) -> None:
    ports = Ports(redis=6379, postgres=5432, gateway=8080, consumers_metrics=9100, console=port)
    assert Given(tmp_path, ports, [*ALL, *lines]).missing() == missing


def test_the_address_of_the_console_is_in_stack_env(tmp_path: Path) -> None:
    stack = Given(tmp_path, PORTS, ALL)
    write_environment(tmp_path, stack.environment)
    assert "CONSOLE_URL" in ADDRESSES
    assert read_env_file(tmp_path / "stack.env")["CONSOLE_URL"] == stack.console_url == f"http://{HOST}:9181"
    assert stack._compose_environment()["CONSOLE_PORT"] == "9181"


def test_the_console_stops_first(tmp_path: Path) -> None:
    stack = Given(tmp_path, PORTS, [*ALL, RUNS])
    with pytest.raises(StackError, match="enough"):
        stack.down()
    assert stack.stopped == [("stop", "console"), ("stop", "gateway")]
