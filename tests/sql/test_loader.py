"""The loader: what it reads, and that it says clearly what it cannot read."""

import pytest

from sql import QueryError, files, load, parse


def test_a_query_has_its_name_shape_why_and_text() -> None:
    (query,) = parse("-- About the file.\n\n-- name: find_it :many\n-- Because\n-- of this.\nSELECT 1;\n", "x.sql")
    assert (query.name, query.shape, query.why, query.text) == ("find_it", "many", "Because of this.", "SELECT 1")


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
        ("-- name: a :one\n-- why\nSELECT 1;\n-- name: a :one\n-- why\nSELECT 2;", "two queries are named a"),
    ],
)
def test_what_is_not_written_so_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint) as caught:
        parse(text, "queries/x.sql")
    assert str(caught.value).startswith("queries/x.sql: ")


def test_an_unknown_file_or_query_names_those_there_are() -> None:
    with pytest.raises(QueryError, match=r"no queries/nothing\.sql; there are .*events"):
        load("nothing")
    with pytest.raises(QueryError, match=r"no query 'nothing'; it has .*claim_events"):
        load("events")["nothing"]


def test_no_two_files_use_one_name() -> None:
    names = [name for file in files() for name in load(file)]
    assert len(names) == len(set(names)) > 0
