"""The APIs that the sources may be asked by, as sources.toml and the environment say."""

from collections.abc import Mapping
from pathlib import Path

from providers.api import Api
from providers.apis import AccessError, access_keys, build_apis, credentials_of
from runtime.sources_file import read_access_tables


def read_apis(path: Path, environment: Mapping[str, str]) -> dict[str, Api]:
    """Return the API of each source whose table has the credentials. Raise AccessError, PostingRulesError."""
    problems: list[str] = []
    tables = read_access_tables(path, environment, access_keys, problems)
    if problems:
        raise AccessError(problems)
    return build_apis(tables)


def read_api(path: Path, environment: Mapping[str, str], source: str) -> Api:
    """Return the API of one source, whatever is wrong with others. Raise AccessError with a sentence, or
    PostingRulesError."""
    problems: list[str] = []
    tables = read_access_tables(path, environment, access_keys, problems)
    if source not in tables:
        raise AccessError([f"There is no source {source} in {path}. It has: {', '.join(sorted(tables)) or 'none'}"])
    if mine := [problem for problem in problems if problem.startswith(f"[{source}] ")]:
        raise AccessError(mine)
    table = tables[source]
    if api := build_apis({source: table}).get(source):
        return api
    needed = credentials_of(table.get("provider"))
    if not needed:
        raise AccessError([f"The provider of source {source} cannot be asked: docs/providers.md says why"])
    missing = [name for name in needed if name not in table]
    named = " and no ".join(missing)
    raise AccessError(
        [f"Source {source} has no {named} in {path} to ask its provider's API with: see docs/providers.md"]
    )
