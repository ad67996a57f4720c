"""The audit: queries for rows that must not exist."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg

from sql import Query, load

ROWS_SHOWN_MAX = 20
"""How many rows of one broken invariant are shown; all of them are counted."""

PREFETCH_ROWS = 1000
"""How many rows are in memory at a time."""

INVARIANTS = load("invariants")


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant: its name, why it should hold, how many rows break it, and the first of them."""

    name: str
    why: str
    total: int
    rows: list[dict[str, Any]]


async def audit(
    connection: asyncpg.Connection, *, rows_shown_max: int = ROWS_SHOWN_MAX, timeout_s: float | None = None,
    names: Iterable[str] = INVARIANTS,
) -> list[Finding]:  # fmt: skip
    """Return every broken invariant, or those of `names`, as of one snapshot; an empty list if all hold.

    Changes nothing. The connection must not be in a transaction.
    """
    findings: list[Finding] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name in names:
            finding = await _check(connection, INVARIANTS.describe(name), rows_shown_max, timeout_s)
            if finding.total:
                findings.append(finding)
    return findings


async def _check(connection: asyncpg.Connection, query: Query, rows_shown_max: int, timeout_s: float | None) -> Finding:
    total = 0
    rows: list[dict[str, Any]] = []
    async for row in connection.cursor(query.text, prefetch=PREFETCH_ROWS, timeout=timeout_s):
        total += 1
        if len(rows) < rows_shown_max:
            rows.append(dict(row))
    return Finding(query.name, query.why, total, rows)
