"""sources.toml: which endpoint speaks which provider, with which secrets. Any problem at all stops the boot."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contract.keys import NAMESPACE_PATTERN
from providers import PROVIDERS
from providers.apis import asking_problems, credentials_of
from providers.base import Provider
from runtime.references import References


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
        for problem in asking_problems(kind.name, table):
            self._problem(problem)
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
        """Return the table with every reference replaced, without credentials, which only programs that ask read."""
        credentials = credentials_of(table.get("provider"))
        references = References(self.folder, self.environment)
        values = references.resolve({key: value for key, value in table.items() if key not in credentials})
        for problem in references.problems:
            self._problem(problem)
        return values

    def _problem(self, text: str) -> None:
        self.problems.append(f"[{self.source}] {text}")


def _sentence(kind: type[Provider], error: ErrorDetails) -> str:
    place = " ".join(f"number {part + 1}" if isinstance(part, int) else part for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{place} is not a setting of provider {kind.name}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"
