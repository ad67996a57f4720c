"""The arguments of `python -m operations`: ids that senders chose, limits, and the width of tables in a pipe."""

import subprocess
import sys

import pytest

from operations.cli.main import parse

ARGUMENTS = {"why": "id", "dead": "id", "replay": "id", "discard": "id", "release": "source", "confirm": "source"}


@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize(
    "text",
    [
        "-x",
        "--help",
        "--",
        "a b",
        "a\N{NO-BREAK SPACE}b",
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}",
        "支付-1",
        "\"'`$",
    ],
)
def test_an_id_is_any_text_after_two_dashes(command: str, text: str) -> None:
    parsed = parse([command, "--json", "--", text])
    assert getattr(parsed, ARGUMENTS[command]) == text
    assert parsed.json


@pytest.mark.parametrize("command", ARGUMENTS)
@pytest.mark.parametrize("text", ["", "a\nb", "a\x1b[2J", "a\x00b", "\udcff"])
def test_an_id_with_control_characters_is_wrong_usage(
    command: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse([command, "--", text])
    assert "an id is not empty, is UTF-8, and has no control characters" in capsys.readouterr().err


def test_a_limit_that_is_no_number_is_named_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["pending", "--limit", "many"])
    assert "'many' is not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize(("columns", "width"), [({}, 160), ({"COLUMNS": "300"}, 300), ({"COLUMNS": "wide"}, 160)])
def test_tables_in_a_pipe_are_as_wide_as_columns_says(columns: dict[str, str], width: int) -> None:
    program = "from operations.cli.main import _console; print(_console().width)"
    shown = subprocess.run(
        [sys.executable, "-c", program], env=columns, capture_output=True, text=True, check=True, timeout=60
    )
    assert int(shown.stdout) == width
