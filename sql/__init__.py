"""The named queries in `queries/*.sql`, and how Python calls them with named parameters.

A query opens with `-- name: <name> :many|:one|:exec`, then at least one comment line that says why it exists, then its
SQL. Parameters are written `:name`:

    EVENTS = load("events")
    await connection.fetch(*EVENTS.bind("claim_events", **columns(events, "namespace", "event_id")))
    await connection.fetchval(EVENTS["is_transaction_open"])

Parameters are numbered for Postgres when the file is loaded; a call only looks its values up in that order.
aiosql would do the same, but makes a method per query at run time, which no type checker sees, ignores superfluous
names, and offers neither `timeout=` nor server-side cursors. buildpg parses the text at every call.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, cast

Shape = Literal["many", "one", "exec"]
"""What a query returns: rows; at most one row; nothing."""

FOLDER = Path(__file__).parent
QUERIES = FOLDER / "queries"

_HEADER = re.compile(r"-- name: (?P<name>[a-z][a-z0-9_]*) :(?P<shape>many|one|exec)")

_PARAMETER = re.compile(r"'(?:[^']|'')*'|--[^\n]*|(?<![:\w]):(?P<name>[a-z][a-z0-9_]*)")
"""A parameter; or a literal or a comment, to be skipped. `::type`, `:=` and `[1:n]` do not match."""

_NUMBERED = re.compile(r"\$\d")


class QueryError(Exception):
    """A .sql file is not in the format of this module, or a call names a query or parameter that does not exist."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named query: what it returns, why it exists, its text with `$1`, and the parameters' names in that order."""

    name: str
    shape: Shape
    why: str
    text: str
    parameters: tuple[str, ...] = ()

    def bind(self, values: Mapping[str, object]) -> tuple[Any, ...]:
        """Return the text and its arguments as asyncpg's methods take them. Raise QueryError for other names."""
        if len(values) == len(self.parameters):
            try:
                return self.text, *[values[name] for name in self.parameters]
            except KeyError:
                pass
        missing = [name for name in self.parameters if name not in values]
        unknown = [name for name in values if name not in self.parameters]
        wrong = f"missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        raise QueryError(f"query {self.name} takes the parameters ({', '.join(self.parameters)}): {wrong}")


class Queries(Mapping[str, str]):
    """The queries of one file: name → SQL text, for queries without parameters; `bind` is for those with some.

    An unknown name raises QueryError and lists the known ones.
    """

    def __init__(self, file: str, queries: list[Query]) -> None:
        self._file = file
        self._queries = {query.name: query for query in queries}

    def bind(self, query: str, /, **values: object) -> tuple[Any, ...]:
        """Return a query's text and its arguments, to be passed to asyncpg with `*`: `fetch(*EVENTS.bind("x", a=1))`.

        Raise QueryError for a missing or unknown parameter.
        """
        return self.describe(query).bind(values)

    def __getitem__(self, name: str) -> str:
        query = self.describe(name)
        if query.parameters:
            raise QueryError(f"query {name} has parameters ({', '.join(query.parameters)}): use bind({name!r}, …)")
        return query.text

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)

    def describe(self, name: str) -> Query:
        """Return the query with its shape, parameters and reason."""
        try:
            return self._queries[name]
        except KeyError:
            message = f"queries/{self._file}.sql has no query {name!r}; it has {', '.join(self._queries)}"
            raise QueryError(message) from None


def columns(rows: Iterable[Any], *names: str) -> dict[str, list[Any]]:
    """Return these attributes of the rows as one array per name: what a query that takes arrays (`unnest`) needs."""
    rows = list(rows)
    return {name: list(map(attrgetter(name), rows)) for name in names}


def load(file: str) -> Queries:
    """Read the queries of `queries/<file>.sql`."""
    path = QUERIES / f"{file}.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise QueryError(f"there is no queries/{file}.sql; there are {', '.join(files())}") from None
    return Queries(file, parse(text, f"queries/{path.name}"))


def files() -> list[str]:
    """Return the names of the files that `load` can read."""
    return sorted(path.stem for path in QUERIES.glob("*.sql"))


def parse(text: str, where: str) -> list[Query]:
    """Return the queries of a text. Only comments may precede the first one. `where` names the text in errors."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("-- name:"):
            blocks.append([])
        blocks[-1].append(line)
    if any(line.strip() and not line.startswith("--") for line in blocks[0]):
        raise QueryError(f"{where}: there is SQL before the first `-- name:` line, which no name would reach")
    queries = [_query(block, where) for block in blocks[1:]]
    names = [query.name for query in queries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise QueryError(f"{where}: two queries are named {', '.join(sorted(twice))}")
    return queries


def _query(block: list[str], where: str) -> Query:
    header = _HEADER.fullmatch(block[0].rstrip())
    if header is None:
        raise QueryError(f"{where}: {block[0]!r} is not `-- name: <name> :many|:one|:exec`")
    name = header["name"]
    body = 1
    while body < len(block) and block[body].startswith("--"):
        body += 1
    why = " ".join(line.removeprefix("--").strip() for line in block[1:body])
    if not why:
        raise QueryError(f"{where}: the query {name} does not say why it exists, in a comment below its name")
    sql = "\n".join(block[body:]).strip()
    if not sql.endswith(";") or sql.count(";") != 1:
        raise QueryError(f"{where}: the query {name} is not one statement that ends in a semicolon")
    text, parameters = _numbered(sql.removesuffix(";"))
    if parameters and _NUMBERED.search(sql):
        raise QueryError(f"{where}: the query {name} has both named and numbered parameters")
    return Query(name, cast("Shape", header["shape"]), why, text, parameters)


def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """Replace each `:name` by `$1`, `$2` …, in the order of first use. Return the text, and the names in that order."""
    numbers: dict[str, int] = {}

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        return match[0] if name is None else f"${numbers.setdefault(name, len(numbers) + 1)}"

    return _PARAMETER.sub(replace, sql), tuple(numbers)
