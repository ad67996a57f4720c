"""What the receiver knows, kept in Postgres: however many programs notify, the one that locks a row works on it."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from operations.notify.standing import Standing
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

NOTIFICATIONS = load("notifications")


async def decide_kept(
    connection: "Connection", key_prefix: str, kinds: Iterable[str], decide: Callable[[str, Standing], Standing]
) -> dict[str, Standing]:
    """Decide about each kind that no other program works on, keep what was decided, and return it.

    The messages of it are committed before anybody sends them.
    """
    names = list(kinds)
    standings: dict[str, Standing] = {}
    async with connection.transaction():
        await connection.execute(*NOTIFICATIONS.bind("make_rows", key_prefix=key_prefix, kinds=names))
        for row in await connection.fetch(*NOTIFICATIONS.bind("lock_rows", key_prefix=key_prefix, kinds=names)):
            kind, before = _read(row)
            standings[kind] = decide(kind, before)
            if standings[kind] != before:
                await keep(connection, key_prefix, kind, standings[kind])
    return standings


async def lock_due(connection: "Connection", key_prefix: str, now: datetime) -> tuple[str, Standing] | None:
    """Return a kind whose message is due, locked for this transaction; None if nothing is due, or others send it."""
    row = await connection.fetchrow(*NOTIFICATIONS.bind("lock_due", key_prefix=key_prefix, now=now))
    return _read(row) if row else None


async def keep(connection: "Connection", key_prefix: str, kind: str, standing: Standing) -> None:
    """Keep what was decided about one kind."""
    await connection.execute(*NOTIFICATIONS.bind("keep", key_prefix=key_prefix, kind=kind, **asdict(standing)))


def _read(row: Any) -> tuple[str, Standing]:  # noqa: ANN401 - asyncpg's records have no types
    values = dict(row)
    return values.pop("kind"), Standing(**values)
