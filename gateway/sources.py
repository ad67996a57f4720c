"""sources.toml: which endpoint speaks which provider, with which secrets. Any problem at all stops the boot."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contract.keys import NAMESPACE_PATTERN
from providers import PROVIDERS
from providers.base import Provider

FILE_PREFIX = "file:"
"""A value `file:PATH` is the content of that file; a relative path starts where sources.toml is."""

FILE_BYTES_MAX = 65_536
"""The largest file a value may be read from."""

_REFERENCE = re.compile(r"\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})?")


class SourcesError(Exception):
    """The sources cannot be used. The message lists every problem and no secret; the program does not start."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(f"{path} cannot be used, so nothing was started:\n" + "\n".join(f"  - {p}" for p in problems))
        self.problems = tuple(problems)


def load_sources(path: Path, environment: Mapping[str, str]) -> dict[str, Provider]:
    """Return the provider of each source by the source's name. Raise SourcesError with the problems of all sources."""
    problems: list[str] = []
    sources: dict[str, Provider] = {}
    for name, table in _read(path).items():
        provider = _Table(name, path.parent, environment, problems).provider(table)
        if provider is not None:
            sources[name] = provider
    if not sources and not problems:
        problems.append("it names no source")
    if problems:
        raise SourcesError(path, problems)
    return sources


def resolve_sources(path: Path, environment: Mapping[str, str]) -> dict[str, object]:
    """Return the table of each source with its references replaced, so with its secrets."""
    return {
        name: _Table(name, path.parent, environment, []).resolved(table) if isinstance(table, dict) else table
        for name, table in _read(path).items()
    }


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourcesError(path, [f"it cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise SourcesError(path, [f"it is not TOML in UTF-8: {error}"]) from error


class _UnresolvedError(Exception):
    """A value refers to something that does not exist. The message names the reference, never a content."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Reads the table of one source, and adds all its mistakes to `problems`."""

    source: str
    folder: Path
    environment: Mapping[str, str]
    problems: list[str]

    def provider(self, table: object) -> Provider | None:
        if not isinstance(table, dict):
            self._problem("is a value outside of any table")
            return None
        if not NAMESPACE_PATTERN.fullmatch(self.source):
            self._problem(f"is a name that does not match {NAMESPACE_PATTERN.pattern}")
        name = table.get("provider")
        kind = PROVIDERS.get(name) if isinstance(name, str) else None
        values = self.resolved(table)
        if kind is None:
            likely = get_close_matches(name, PROVIDERS, n=1) if isinstance(name, str) else []
            meant = f"; did you mean {likely[0]}?" if likely else ""
            self._problem(f"provider is not one of {', '.join(sorted(PROVIDERS))}{meant}")
            return None
        return self._build(kind, table, values)

    def _build(self, kind: type[Provider], table: Mapping[str, object], values: dict[str, object]) -> Provider | None:
        if "source" in table:
            self._problem("source is not a setting; the table's own name is the source")
        try:
            settings = kind.Source.model_validate({**values, "source": self.source})
        except ValidationError as error:
            known = {"source"} | (table.keys() - values.keys()) | ({"namespace"} - table.keys())
            for each in error.errors(include_url=False, include_context=False, include_input=False):
                if not each["loc"] or each["loc"][0] not in known:
                    self._problem(_sentence(kind, each))
            return None
        return kind(settings)

    def resolved(self, table: Mapping[str, object]) -> dict[str, object]:
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
            self._problem(f"{place}: {error}")
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

    def _problem(self, text: str) -> None:
        self.problems.append(f"[{self.source}] {text}")


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


def _sentence(kind: type[Provider], error: ErrorDetails) -> str:
    place = " ".join(f"number {part + 1}" if isinstance(part, int) else part for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{place} is not a setting of provider {kind.name}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"
