"""docs/payments.md names exactly the statuses in their precedence, the columns, the facts and the transfers."""

import re
from pathlib import Path

import asyncpg
import pytest

from contract.facts import KINDS
from ledger.transfers import TRANSFER_RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "payments.md").read_text()
PAYMENTS = (ROOT / "sql" / "schema.sql").read_text().partition("CREATE TABLE payments (")[2]
CASE = re.search(r"status text .*?CASE(.*?)END", PAYMENTS, re.DOTALL)


def table(first_column: str) -> list[list[str]]:
    """Return the cells of each line of the table with this first column."""
    _, _, rest = PAGE.partition(f"| {first_column} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(first_column: str) -> list[str]:
    return [name for row in table(first_column) for name in re.findall(r"`([\w:<>]+)`", row[0])]


def statuses() -> list[str]:
    """Return the statuses in the order of the schema's CASE."""
    assert CASE
    return re.findall(r"(?:THEN|ELSE) '(\w+)'", CASE[1])


def test_the_page_lists_the_statuses_by_precedence() -> None:
    assert names("status") == statuses()


def test_the_diagram_has_every_status() -> None:
    diagram = PAGE.partition("```mermaid")[2].partition("```")[0]
    drawn = {name for pair in re.findall(r"(\w+|\[\*\]) --> (\w+)", diagram) for name in pair} - {"[*]"}
    assert drawn == set(statuses())


async def test_the_page_lists_the_columns(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'payments'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    assert sorted(names("column")) == sorted(row[0] for row in rows)


def test_the_page_lists_the_facts_and_those_that_move_money() -> None:
    assert set(names("fact")) == KINDS
    moving = {name for row in table("fact") if row[2].startswith("yes") for name in re.findall(r"`(\w+)`", row[0])}
    assert moving == TRANSFER_RULES.keys()


@pytest.mark.parametrize("kind", TRANSFER_RULES)
def test_the_page_lists_the_transfers(kind: str) -> None:
    (row,) = [row for row in table("movement") if row[1] == f"`{kind}`"]
    rule = TRANSFER_RULES[kind]  # type: ignore[index] # one of its keys
    assert row == [f"`{rule.name}:<id>`", f"`{kind}`", f"`{rule.debit}`", f"`{rule.credit}`"]
