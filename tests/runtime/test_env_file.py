"""Nothing in `.env` is skipped or overwritten silently."""

from pathlib import Path

import pytest

from runtime.env_file import find_problems, read_env_file
from runtime.settings import ProgramSettings, SettingsError, load_settings

WRONG = [
    ("a line without =", b"A=1\nhush\n", "line 2 has no ="),
    ("the same behind blank lines", b"A=1\r\n\r\n\r\nhush\r\n", "line 4 has no ="),
    ("another separator", b"SECRET: hush\n", "line 1 cannot be read"),
    ("a quote that does not close", b'A=1\nB="hush\nC=2\n', "line 2 cannot be read"),
    ("something behind the quotes", b"A='hu'sh\n", "line 1 cannot be read"),
    ("words of a shell", b"set A=hush\n", "line 1 cannot be read"),
    ("no name", b"=hush\n", "line 1 cannot be read"),
    ("a NUL", b"A=hu\0sh\n", "line 1: A has a NUL character"),
    ("another encoding", b"# a\nA=hush\xe4\n", "cannot be read: line 2 is not UTF-8 text"),
    ("two values of one name", b"A=hush\nB=2\nA=other\n", "sets A to different values, in lines 1 and 3"),
    ("two values, also in lower case", b"a=hush\nA=other\n", "sets A to different values, in lines 1 and 2"),
]

RIGHT = [
    ("empty", b"", {}),
    ("a byte order mark and CRLF", b"\xef\xbb\xbfA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("remarks, export and blanks", b"# a\n\n  export A = 1 # one\n", {"A": "1"}),
    ("a value of several lines", b'A="1\n2"\nB=3\n', {"A": "1\n2", "B": "3"}),
    ("the same value twice", b"A=1\nA=1\n", {"A": "1"}),
    ("a secret that was empty and was added", b"A=\nA=1\n", {"A": "1"}),
]


class Example(ProgramSettings):
    batch_size: int = 5


@pytest.mark.parametrize(("content", "sentence"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_what_sets_nothing_is_named_with_its_line_and_no_value(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    (problem,) = find_problems(path)
    assert sentence in problem
    assert "hush" not in problem


@pytest.mark.parametrize(("content", "values"), [each[1:] for each in RIGHT], ids=[each[0] for each in RIGHT])
def test_what_can_be_read_is_no_problem(tmp_path: Path, content: bytes, values: dict[str, str]) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)
    assert find_problems(path) == []
    assert read_env_file(path) == values


def test_a_folder_or_a_link_to_nowhere_is_named_and_no_file_is_fine(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert find_problems(path) == []
    path.symlink_to(tmp_path / "nowhere")
    assert "No such file" in find_problems(path)[0]
    path.unlink()
    path.mkdir()
    assert "Is a directory" in find_problems(path)[0]
    assert read_env_file(path) == {}


@pytest.mark.parametrize("content", [each[1] for each in WRONG], ids=[each[0] for each in WRONG])
def test_a_program_refuses_such_a_file_and_a_command_that_must_work_warns_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=r"\.env"):
        load_settings(Example)
    warnings: list[SettingsError] = []
    assert load_settings(Example, warn=warnings.append).batch_size == 5
    assert len(warnings) == 1
    assert not caplog.messages  # python-dotenv would warn several times more
