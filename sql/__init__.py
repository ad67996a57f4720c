"""What Postgres is told: migrations and named queries, all in .sql files. This module only reads them.

A query in `queries/<file>.sql` opens with `-- name: <name> :many|:one|:exec`, then at least one comment line that says
why it exists, then its SQL:

    EVENTS = load("events")
    await connection.fetch(EVENTS["claim_events"], ...)
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

Shape = Literal["many", "one", "exec"]
"""What a query answers: rows, one row (or none), nothing."""

FOLDER = Path(__file__).parent
QUERIES = FOLDER / "queries"

_HEADER = re.compile(r"-- name: (?P<name>[a-z][a-z0-9_]*) :(?P<shape>many|one|exec)")


class QueryError(Exception):
    """A .sql file of ours is not written as this module reads them, or a query is asked for that no file has."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named query: its text as Postgres gets it, what it answers, and the sentence of why."""

    name: str
    shape: Shape
    why: str
    text: str


class Queries(Mapping[str, str]):
    """The queries of one file: name → SQL text. An unknown name raises QueryError, naming those there are."""

    def __init__(self, file: str, queries: list[Query]) -> None:
        self._file = file
        self._queries = {query.name: query for query in queries}

    def __getitem__(self, name: str) -> str:
        return self.describe(name).text

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)

    def describe(self, name: str) -> Query:
        """The query with its shape and its why."""
        try:
            return self._queries[name]
        except KeyError:
            message = f"queries/{self._file}.sql has no query {name!r}; it has {', '.join(self._queries)}"
            raise QueryError(message) from None


def load(file: str) -> Queries:
    """The queries of `queries/<file>.sql`."""
    path = QUERIES / f"{file}.sql"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise QueryError(f"there is no queries/{file}.sql; there are {', '.join(files())}") from None
    return Queries(file, parse(text, f"queries/{path.name}"))


def files() -> list[str]:
    """Every file that `load` can read."""
    return sorted(path.stem for path in QUERIES.glob("*.sql"))


def parse(text: str, where: str) -> list[Query]:
    """The queries of a text; what stands before the first one must be comments. `where` names it in an error."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("-- name:"):
            blocks.append([])
        blocks[-1].append(line)
    if any(line.strip() and not line.startswith("--") for line in blocks[0]):
        raise QueryError(f"{where}: SQL stands before the first `-- name:` line, so that nobody could ask for it")
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
    return Query(name, cast("Shape", header["shape"]), why, sql.removesuffix(";"))
