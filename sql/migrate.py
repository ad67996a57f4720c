"""Migrations: the files of sql/migrations are applied in their order, each in a transaction of its own.

Those that build indexes of large tables are in none (`-- transaction: false`), so that they build them concurrently.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo

from sql import FOLDER, load
from sql.partitions import ensure_payload_partitions
from sql.payload_key import put_time_first
from sql.sparse_indexes import rebuild_sparse_indexes

MIGRATIONS = FOLDER / "migrations"
SCHEMA = "public"

LOCK_PAUSE_S = 0.1
"""Between two looks at whether another process still migrates."""

_HISTORY = load("migrations")
_LOG = logging.getLogger(__name__)


class MigrationError(Exception):
    """A migration failed: it was rolled back, or the next attempt does it again from its beginning."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration and when it was applied, if it was. It is not `known` if only the database has it, and no file."""

    name: str
    applied_at: datetime | None
    known: bool = True


async def migrate(connection: asyncpg.Connection, *, lock_wait_s: float, folder: Path = MIGRATIONS) -> list[str]:
    """Apply the missing migrations, create the coming months' partitions, and return the names of the applied ones.

    Raise MigrationError, and TimeoutError if another process holds the lock for longer than `lock_wait_s`.
    """
    async with _exclusively(connection, lock_wait_s):
        before = {migration.name for migration in await status(connection, folder) if migration.applied_at}
        try:
            await pogo.apply(connection, folder, schema_name=SCHEMA, logger=_LOG)
        except BadMigrationError as error:
            raise MigrationError(f"{error}: {error.__cause__ or 'no cause given'}") from error
        await ensure_payload_partitions(connection)
        try:
            await put_time_first(connection)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise MigrationError(f"the new key of payloads is built, but others hold the table: {error}") from error
        await rebuild_sparse_indexes(connection)
        return [m.name for m in await status(connection, folder) if m.applied_at and m.name not in before]


async def status(connection: asyncpg.Connection, folder: Path = MIGRATIONS) -> list[Migration]:
    """Return every migration, in files or in the database, in the order of their names."""
    applied: dict[str, datetime] = {}
    if await connection.fetchval(_HISTORY["has_migrations"]):
        applied = dict(await connection.fetch(*_HISTORY.bind("list_applied_migrations", schema=SCHEMA)))
    files = _files(folder)
    return [Migration(name, applied.get(name), known=name in files) for name in sorted(files | applied.keys())]


def _files(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.sql")}


@asynccontextmanager
async def _exclusively(connection: asyncpg.Connection, lock_wait_s: float) -> AsyncIterator[None]:
    async with asyncio.timeout(lock_wait_s):
        while not await connection.fetchval(_HISTORY["lock_migrations"]):  # noqa: ASYNC110 -- nothing notifies of locks
            await asyncio.sleep(LOCK_PAUSE_S)
    try:
        yield
    finally:
        await connection.execute(_HISTORY["unlock_migrations"])
