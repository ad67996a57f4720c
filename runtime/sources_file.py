"""What programs other than the gateway read in sources.toml: posting rules, namespaces, and access to APIs.

They never read a secret that verifies a signature.
"""

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.accounts import PostingRules, PostingRulesError
from runtime.references import References, referred_names


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source as a person sees it. `secrets` is how many its list has, None if it has no such list."""

    name: str
    provider: str
    namespace: str
    rules: PostingRules
    secrets: int | None


def read_source_settings(path: Path) -> list[SourceSettings]:
    """Return every source in the file's order; empty where there is no file. Raises PostingRulesError."""
    rules = read_posting_rules(path)
    return [
        _settings(source, table if isinstance(table, dict) else {}, rules[source])
        for source, table in _read_tables(path).items()
    ]


def _settings(source: str, table: dict[str, object], rules: PostingRules) -> SourceSettings:
    secrets = table.get("secrets")
    return SourceSettings(
        name=source,
        provider=str(table.get("provider", "")),
        namespace=str(table.get("namespace", source)),
        rules=rules,
        secrets=len(secrets) if isinstance(secrets, list) else None,
    )


def read_posting_rules(path: Path) -> dict[str, PostingRules]:
    """Return the posting rules of each source; empty where there is no file. Raises PostingRulesError."""
    rules = {}
    for source, table in _read_tables(path).items():
        try:
            rules[source] = PostingRules.from_table(table if isinstance(table, dict) else {})
        except PostingRulesError as error:
            raise PostingRulesError(f"{path}: [{source}] {error}") from error
    return rules


def read_namespaces(path: Path) -> set[str]:
    """Return the namespaces of all sources; empty where there is no file. Raises PostingRulesError."""
    return {
        str(table.get("namespace", source)) if isinstance(table, dict) else source
        for source, table in _read_tables(path).items()
    }


def read_access_tables(
    path: Path, environment: Mapping[str, str], keys_of: Callable[[object], Collection[str]], problems: list[str],
    sources: Collection[str] | None = None,
) -> dict[str, dict[str, object]]:  # fmt: skip
    """Return the settings with these keys of each source that has any of them, with the references replaced.

    `keys_of` returns the keys by the source's provider; `sources`: those that are read, None for all. What refers to
    something that does not exist is added to `problems`. Raise PostingRulesError where the file cannot be read.
    """
    tables = {}
    for source, table in _read_tables(path).items():
        if sources is not None and source not in sources:
            continue
        wanted = keys_of(table.get("provider")) if isinstance(table, dict) else ()
        chosen = {key: value for key, value in table.items() if key in wanted} if isinstance(table, dict) else {}
        references = References(path.parent, environment)
        tables[source] = references.resolve(chosen)
        problems += [f"[{source}] {problem}" for problem in references.problems]
    return tables


def read_references(path: Path, keys_of: Callable[[Mapping[str, object]], Collection[str]]) -> set[str]:
    """Return each NAME of `${NAME}` in the settings whose keys `keys_of` returns of a source's table.

    Raise PostingRulesError where the file cannot be read.
    """
    tables = [table for table in _read_tables(path).values() if isinstance(table, dict)]
    return {name for table in tables for key in keys_of(table) for name in referred_names(table.get(key))}


def read_setting(path: Path, key: str) -> dict[str, object]:
    """Return this setting of each source that has it, in the file's order. Raise PostingRulesError."""
    tables = _read_tables(path).items()
    return {source: table[key] for source, table in tables if isinstance(table, dict) and key in table}


def _read_tables(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PostingRulesError(f"{path} cannot be read: {error}") from error
