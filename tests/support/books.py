"""Emptying the books between examples, which the schema refuses to everybody but a superuser who insists."""

import asyncpg

_TABLES = (
    "events, duplicates, payloads, payments, transfers, disputes, conflicts, held_back, events_of_other_mode, "
    "redis_beats, restores, acknowledgements"
)


async def empty_books(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(f"TRUNCATE {_TABLES}")
