"""The reconciler of a stack in containers: it runs where a source wants it, and its failures are its own."""

from pathlib import Path

import pytest
import yaml

from stack.compose_reconciler import start_reconciler, stop_reconciler, wanted_optional
from stack.containers import CommandFailedError, Container, read_container
from stack.ready import Waiter
from stack.settings import Settings
from stack.state import Ports, State

SERVICES = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())["services"]
UP = "2026-01-02T03:04:05.123456789Z"
RUNS = f"reconciler running 0 healthy 9 {UP} 0"
CRASHES = f"reconciler restarting 2 starting 0 {UP} 7"
PROFILE = "--profile=reconciler"


class Project:
    """A project whose engine does what a test says."""

    def __init__(self, *lines: str, fails: str = "") -> None:
        self.lines, self.fails = lines, fails
        self.asked: list[tuple[str, ...]] = []

    def run(self, *arguments: str) -> str:
        self.asked.append(arguments)
        if "up" in arguments and self.fails:
            raise CommandFailedError(["docker"], 1, self.fails)
        return "EU_KEY is not set\n" if "logs" in arguments else ""

    def containers(self) -> list[Container]:
        return [read_container(f"{number}", line) for number, line in enumerate(self.lines)]

    def start(self, settings: Settings) -> None:
        start_reconciler(self.run, self.containers, settings, Waiter(0))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "sources.toml"
    file.write_text('[eu]\nprovider = "stripe"\nreconcile_every = "1h"\n')
    return Settings(sources_file=file)


def test_it_starts_by_itself_where_a_source_wants_it(settings: Settings) -> None:
    project = Project(RUNS)
    project.start(settings)
    assert project.asked == [(PROFILE, "up", "--detach", "--no-deps", "reconciler")]
    wanted = wanted_optional(State("compose", Ports(1, 2, 3, 4, console=0)), settings)
    assert wanted == {"console": 0, "reconciler": 1}


def test_it_is_removed_where_no_source_wants_it_any_more(settings: Settings) -> None:
    settings.sources_file.write_text('[eu]\nprovider = "stripe"\n')
    for lines, asked in (([RUNS], [(PROFILE, "rm", "--stop", "--force", "reconciler")]), ([], [])):
        project = Project(*lines)
        project.start(settings)
        assert project.asked == asked
    assert wanted_optional(None, settings) == {"console": 0, "reconciler": 0}


def test_one_that_does_not_start_is_a_sentence(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    Project(CRASHES).start(settings)
    said = capsys.readouterr().err
    assert said.startswith(
        "The reconciler does not run; everything else does. reconciler does not answer: it is starting"
    )
    assert said.endswith("The last lines of reconciler:\nEU_KEY is not set\n")
    Project(fails="no such image").start(settings)
    assert "The reconciler does not run; everything else does. `docker` failed (1)" in capsys.readouterr().err


def test_it_is_stopped_where_there_is_one() -> None:
    for lines, asked in (([RUNS], [(PROFILE, "stop", "reconciler")]), ([], [])):
        project = Project(*lines)
        stop_reconciler(project.run, project.containers())
        assert project.asked == asked


def test_nothing_waits_for_it_and_only_it_has_its_secrets() -> None:
    assert [name for name, each in SERVICES.items() if "reconciler" in each.get("depends_on", {})] == []
    mounts = {name: str(each.get("volumes", "")) for name, each in SERVICES.items()}
    assert [name for name, text in mounts.items() if "/reconciler" in text] == ["reconciler"]
    assert "ports" not in SERVICES["reconciler"]
