"""The loader of named queries: what it accepts, how it binds parameters, and its errors."""

import re
from types import SimpleNamespace

import pytest

from sql import Queries, Query, QueryError, columns, files, load, parse


def test_a_query_has_its_name_shape_why_and_text() -> None:
    (query,) = parse("-- About the file.\n\n-- name: find_it :many\n-- Because\n-- of this.\nSELECT 1;\n", "x.sql")
    assert (query.name, query.shape, query.why, query.text) == ("find_it", "many", "Because of this.", "SELECT 1")


def parsed(sql: str) -> Query:
    (query,) = parse(f"-- name: a :one\n-- why\n{sql};", "x.sql")
    return query


@pytest.mark.parametrize(
    ("sql", "text", "parameters"),
    [
        ("SELECT :a::int, :b, :a", "SELECT $1::int, $2, $1", ("a", "b")),
        ("SELECT ARRAY[1, 2][1:2], '1 :a', 'it''s :a', x::text", "", ()),
        ("SELECT 1 -- not :a", "", ()),
        ("CALL f(x := 1, y => :y)", "CALL f(x := 1, y => $1)", ("y",)),
        ("SELECT '{a,b}'::text[], ':' || :payment_id", "SELECT '{a,b}'::text[], ':' || $1", ("payment_id",)),
    ],
)
def test_only_parameters_are_numbered(sql: str, text: str, parameters: tuple[str, ...]) -> None:
    assert (parsed(sql).text, parsed(sql).parameters) == (text or sql, parameters)


def test_named_values_are_put_into_the_order_of_the_parameters() -> None:
    query = parsed("SELECT :b, :a, :b")
    assert query.bind({"a": 1, "b": 2}) == ("SELECT $1, $2, $1", 2, 1)
    assert Queries("x", [query]).bind("a", b=2, a=1) == ("SELECT $1, $2, $1", 2, 1)
    assert parsed("SELECT 1").bind({}) == ("SELECT 1",)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"a": 1}, "missing b; unknown none"),
        ({"a": 1, "b": 2, "c": 3}, "missing none; unknown c"),
        ({"a": 1, "c": 3}, "missing b; unknown c"),
    ],
)
def test_missing_and_unknown_names_are_refused(values: dict[str, int], complaint: str) -> None:
    with pytest.raises(QueryError, match=rf"query a takes the parameters \(b, a\): {complaint}"):
        parsed("SELECT :b, :a").bind(values)


def test_rows_become_one_array_per_column() -> None:
    rows = [SimpleNamespace(a=1, b="x", c=None), SimpleNamespace(a=2, b="y", c=None)]
    assert columns(rows, "b", "a") == {"b": ["x", "y"], "a": [1, 2]}
    assert columns(iter(()), "a") == {"a": []}


def test_all_queries_name_their_parameters() -> None:
    queries = [load(file).describe(name) for file in files() for name in load(file)]
    assert [query.name for query in queries if re.search(r"\$\d", query.text) and not query.parameters] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;", "before the first"),
        ("-- name: a :some\n-- why\nSELECT 1;", "is not `-- name:"),
        ("-- name: A :one\n-- why\nSELECT 1;", "is not `-- name:"),
        ("-- name: a :one\nSELECT 1;", "does not say why"),
        ("-- name: a :one\n-- why\nSELECT 1", "semicolon"),
        ("-- name: a :one\n-- why\nSELECT 1; SELECT 2;", "one statement"),
        ("-- name: a :one\n-- why\n", "one statement"),
        ("-- name: a :one\n-- why\nSELECT :b, $1;", "both named and numbered"),
        ("-- name: a :one\n-- why\nSELECT 1;\n-- name: a :one\n-- why\nSELECT 2;", "two queries are named a"),
    ],
)
def test_text_in_another_format_is_refused_and_its_file_named(text: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint) as caught:
        parse(text, "queries/x.sql")
    assert str(caught.value).startswith("queries/x.sql: ")


def test_an_unknown_file_or_query_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"no queries/nothing\.sql; there are .*events"):
        load("nothing")
    with pytest.raises(QueryError, match=r"no query 'nothing'; it has .*claim_events"):
        load("events")["nothing"]
    with pytest.raises(QueryError, match=r"lock_resources has parameters \(namespace, resource\): use bind"):
        load("events")["lock_resources"]


def test_no_two_files_use_one_name() -> None:
    names = [name for file in files() for name in load(file)]
    assert len(names) == len(set(names)) > 0
