"""Rebuilding the indexes of tables from which most rows have moved to the archive.

A B-tree keeps a page until its last row is gone, and rows of random ids leave each page in part. So an event would
still change as many pages as before the move.
"""

import asyncpg

from sql import load

BYTES_MIN = 64 * 1024 * 1024
"""Smaller indexes are as good as in memory."""

BYTES_PER_ROW = 400
"""An index with more for each row is rebuilt; 100 to 150 are usual."""

_ARCHIVE = load("archive")


async def rebuild_sparse_indexes(
    connection: asyncpg.Connection, *, bytes_min: int = BYTES_MIN, bytes_per_row: int = BYTES_PER_ROW
) -> list[str]:
    """Rebuild what has become much larger than its rows, while workers write, and return the names.

    It can be interrupted at any moment: the next call drops what was left.
    """
    find = _ARCHIVE.bind("list_sparse_indexes", bytes_min=bytes_min, bytes_per_row=bytes_per_row)
    rows = await connection.fetch(*find)
    if rows:
        for left in await connection.fetch(_ARCHIVE["list_half_made_indexes"]):
            await connection.execute(left["drop"], timeout=None)
    for row in rows:
        await connection.execute(row["rebuild"], timeout=None)
    return [row["name"] for row in rows]
