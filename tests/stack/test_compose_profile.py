"""The profile `observability` is started by `make up`, within its project, and its failures are its own."""

from pathlib import Path

import pytest
import yaml

from stack.compose_profile import PROFILE, SERVICES, start_observability
from stack.containers import CommandFailedError

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "compose.yaml").read_text())["services"]


class Engine:
    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.asked: list[tuple[str, ...]] = []

    def run(self, *arguments: str, timeout_s: float) -> str:
        assert timeout_s > 600, "images are downloaded"
        self.asked.append(arguments)
        if self.fails:
            raise CommandFailedError(["docker"], 1, self.fails)
        return ""


def test_all_services_of_the_profile_are_known() -> None:
    assert {name for name, each in COMPOSE.items() if PROFILE in each.get("profiles", [])} == set(SERVICES)


@pytest.mark.parametrize(
    ("profiles", "starts"), [("observability", True), ("a,observability", True), ("", False), ("observe", False)]
)
def test_it_starts_if_asked_for(profiles: str, starts: bool) -> None:
    engine = Engine()
    start_observability(engine.run, {"COMPOSE_PROFILES": profiles})
    assert engine.asked == [("up", "--detach", "--no-deps", *SERVICES)][: int(starts)]


def test_what_does_not_start_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    start_observability(Engine("port 9090 is taken").run, {"COMPOSE_PROFILES": "observability"})
    said = capsys.readouterr().err
    assert said.startswith("Not all of the profile observability runs; everything else does.")
    assert "port 9090 is taken" in said
