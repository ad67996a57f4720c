"""References in sources.toml: `${NAME}` is a variable of the environment, `file:PATH` the content of a file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE_PREFIX = "file:"
"""A value `file:PATH` is the content of that file; a relative path starts where sources.toml is."""

FILE_BYTES_MAX = 65_536
"""The largest file a value may be read from."""

_REFERENCE = re.compile(r"\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})?")


def referred_names(value: object) -> set[str]:
    """Return each NAME of `${NAME}` in a value, or in the values of a list."""
    if isinstance(value, list):
        return set().union(*map(referred_names, value))
    return {match["name"] for match in _REFERENCE.finditer(value) if match["name"]} if isinstance(value, str) else set()


class _UnresolvedError(Exception):
    """A value refers to something that does not exist. The message names the reference, never a content."""


@dataclass(frozen=True, slots=True)
class References:
    """Replaces the references of a table, and adds each that does not exist to `problems`."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    problems: list[str] = field(default_factory=list)

    def resolve(self, table: Mapping[str, object]) -> dict[str, object]:
        """Return the table with every reference replaced, without the keys whose reference does not exist."""
        values: dict[str, object] = {}
        for key, value in table.items():
            problems_before = len(self.problems)
            resolved = self._resolve(key, value)
            if len(self.problems) == problems_before:
                values[key] = resolved
        return values

    def _resolve(self, place: str, value: object) -> object:
        if isinstance(value, list):
            return [self._resolve(f"{place} number {number}", each) for number, each in enumerate(value, start=1)]
        if not isinstance(value, str):
            return value
        try:
            if value.startswith(FILE_PREFIX):
                return _content(self.folder / self._substitute(value.removeprefix(FILE_PREFIX)))
            return self._substitute(value)
        except _UnresolvedError as error:
            self.problems.append(f"{place}: {error}")
            return None

    def _substitute(self, text: str) -> str:
        return _REFERENCE.sub(self._variable, text)

    def _variable(self, match: re.Match[str]) -> str:
        name = match["name"]
        if not name:
            raise _UnresolvedError("there is a ${ without a NAME}")
        if not self.environment.get(name):
            raise _UnresolvedError(
                f"environment variable {name} is {'empty' if name in self.environment else 'not set'}"
            )
        return self.environment[name]


def _content(path: Path) -> str:
    """Return the text of a file without its last line end."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _UnresolvedError(f"{FILE_PREFIX}{path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise _UnresolvedError("the path of a file has a NUL in it") from None
    if len(content) > FILE_BYTES_MAX:
        raise _UnresolvedError(f"{FILE_PREFIX}{path} has more than {FILE_BYTES_MAX} bytes")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _UnresolvedError(f"{FILE_PREFIX}{path} is not UTF-8 text") from None
    if not text:
        raise _UnresolvedError(f"{FILE_PREFIX}{path} is empty")
    return text
