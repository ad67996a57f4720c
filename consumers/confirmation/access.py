"""Which sources' APIs a worker asks, and with which credentials: those with `confirm = "api"` and no others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contract.accounts import PostingRules
from providers.api import Api, Confirmation
from providers.apis import ASKING_KEYS, AccessError, access_keys, asking_problems, build_apis
from runtime.sources_file import read_access_tables


@dataclass(frozen=True, slots=True)
class Access:
    """The APIs that confirm events, by source. `tables`: what was read for them, for the digest; it has secrets."""

    apis: Mapping[str, Api] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, object]] = field(default_factory=dict, repr=False)

    @property
    def confirmations(self) -> dict[str, Confirmation]:
        """The same APIs, as those that confirm."""
        return {source: api for source, api in self.apis.items() if isinstance(api, Confirmation)}


def read_access(path: Path, environment: Mapping[str, str], rules: Mapping[str, PostingRules]) -> Access:
    """Return the access to the APIs that confirm events. Raise AccessError, which names all that is missing or wrong.

    Credentials of other sources are not read. Raise PostingRulesError where the file cannot be read.
    """
    sources = {source for source, each in rules.items() if each.confirm}
    if not sources:
        return Access()
    problems: list[str] = []
    tables = read_access_tables(
        path, environment, lambda name: access_keys(name) | ASKING_KEYS | {"provider", "trust"}, problems, sources
    )
    if not problems:  # what cannot be resolved is missing from the tables, too
        problems += [
            f"[{source}] {problem}"
            for source, table in tables.items()
            for problem in asking_problems(str(table.get("provider")), table)
        ]
    if problems:
        raise AccessError(problems)
    apis = {source: api for source, api in build_apis(tables).items() if isinstance(api, Confirmation)}
    if missing := sources - apis.keys():
        raise AccessError([f"[{source}] confirm: its provider's API cannot be asked" for source in sorted(missing)])
    return Access(apis, tables)
