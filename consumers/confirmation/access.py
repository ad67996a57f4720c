"""Which sources' APIs a worker asks, and with which credentials: those with `confirm = "api"` and no others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from contract.accounts import PostingRules
from contract.event import Event
from ledger.conflicts import UNCLAIMED, Claim
from providers.api import Api, Confirmation
from providers.apis import ASKING_KEYS, AccessError, access_keys, asking_problems, build_apis
from runtime.sources_file import read_access_tables


class AskedSource:
    """A source whose API is asked, as those know it who record its events. `taker` asks, while somebody does."""

    def __init__(self, api: Confirmation) -> None:
        self._api = api
        self.taker: Callable[[Event], Claim] | None = None

    def must_ask(self, event: Event) -> bool:
        """Return whether the API is to be asked about an event, also if it has no facts."""
        return self._api.must_ask(event)

    def take(self, event: Event) -> Claim:
        """Begin to ask about an event that is being recorded, and return who does."""
        return self.taker(event) if self.taker else UNCLAIMED


@dataclass(frozen=True)
class Access:
    """The APIs that confirm events, by source. `tables`: what was read for them, for the digest; it has secrets."""

    apis: Mapping[str, Api] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, object]] = field(default_factory=dict, repr=False)

    @cached_property
    def asked(self) -> dict[str, AskedSource]:
        """The same sources, for the handlers that record what is to be asked."""
        return {source: AskedSource(api) for source, api in self.apis.items() if isinstance(api, Confirmation)}


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
