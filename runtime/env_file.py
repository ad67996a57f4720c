"""Reads `.env` and `stack.env` as python-dotenv does, and finds what python-dotenv would skip or overwrite silently."""

import io
import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from dotenv.parser import Binding, parse_stream

# It warns of lines that cannot be read whenever a file is read; `find_problems` reports them once, with the reason.
logging.getLogger("dotenv.main").setLevel(logging.ERROR)


def read_env_file(path: Path) -> dict[str, str]:
    """Return the names and values of a file; empty where it is missing or cannot be read."""
    if reading_problem(path):
        return {}
    return {line.key: line.value for line in _lines(path) if line.key and line.value is not None and _is_value(line)}


def reading_problem(path: Path) -> str:
    """Return why a file cannot be read; "" where it can, or where nothing has its name."""
    try:
        if path.is_symlink() or path.exists():
            path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"{path} cannot be read: line {line} is not UTF-8 text"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return ""


def find_problems(path: Path) -> list[str]:
    """Return a sentence for each line that sets nothing, or another value than an earlier one; it shows no value."""
    if problem := reading_problem(path):
        return [problem]
    found: list[str] = []
    values: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in _lines(path):
        number = line.original.line + _blank_lines_before(line)
        if line.error:
            found.append(
                f"{path}, line {number} cannot be read: it is not NAME=value, or a quote in it has no partner, or "
                "something follows the quoted value"
            )
        elif line.key and line.value is None:
            found.append(f"{path}, line {number} has no =: write NAME=value, or # before a remark")
        elif line.key and not _is_value(line):
            found.append(f"{path}, line {number}: {line.key} has a NUL character")
        elif line.key and line.value:  # `make up` adds a line where the value of a secret is empty
            values[line.key.upper()].setdefault(line.value, number)
    for name, lines in values.items():
        if len(lines) > 1:
            numbers = " and ".join(map(str, lines.values()))
            found.append(f"{path} sets {name} to different values, in lines {numbers}: remove all but one")
    return found


def _lines(path: Path) -> Iterator[Binding]:
    return parse_stream(io.StringIO(path.read_text(encoding="utf-8") if path.exists() else ""))


def _is_value(line: Binding) -> bool:
    return "\0" not in f"{line.key}{line.value}"


def _blank_lines_before(line: Binding) -> int:
    text = line.original.string
    return text[: len(text) - len(text.lstrip())].count("\n")
