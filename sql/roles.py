"""The role that workers use: it owns nothing, and may only do what sql/grants.sql lists."""

from urllib.parse import unquote, urlsplit

import asyncpg

from sql import FOLDER, load

GRANTS = FOLDER / "grants.sql"

_QUERIES = load("migrations")


class RoleError(Exception):
    """The workers' role could not be made or given its rights. The text is safe to show."""


async def grant_rights(connection: asyncpg.Connection, workers_url: str) -> str | None:
    """Give the role of the workers' URL the rights in sql/grants.sql, and return its name. None for the owner itself.

    A role that does not exist is made, with the URL's password; one that was made so gets that password again. Any
    other role only gets its rights. Raises RoleError.
    """
    parts = urlsplit(workers_url)
    role, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not role or role == await connection.fetchval(_QUERIES["read_user"]):
        return None
    try:
        async with connection.transaction():
            await connection.execute(*_QUERIES.bind("name_role", role=role, password=password))
            await connection.execute(GRANTS.read_text(encoding="utf-8"))
    except asyncpg.InsufficientPrivilegeError as error:
        raise RoleError(f"the owner of the tables cannot make the role {role} or grant it rights: {error}") from error
    return role
