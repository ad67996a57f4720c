"""A fresh, migrated database for each test in milliseconds: copies of a template that is migrated once."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from tests.support.servers import PostgresServer

TEMPLATE = "template_payments"
CONNECT_TIMEOUT_S = 10.0
LOCK_WAIT_S = 30.0

WORKERS_ROLE = "payments_worker"
WORKERS_PASSWORD = "of-workers"

_number = itertools.count(1)


async def make_template(postgres: PostgresServer) -> None:
    """Creates and migrates the database that the others are copies of."""
    async with connect(postgres.database_url("postgres"), timeout_s=CONNECT_TIMEOUT_S) as admin:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    async with connect(postgres.database_url(TEMPLATE), timeout_s=CONNECT_TIMEOUT_S) as connection:
        await migrate(connection, lock_wait_s=LOCK_WAIT_S)
        await grant_rights(connection, as_worker(postgres.database_url(TEMPLATE)))


def as_worker(url: str) -> str:
    """The url of the same database for workers and operators' commands: their role owns nothing."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{WORKERS_ROLE}:{WORKERS_PASSWORD}@{rest.partition('@')[2]}"


@asynccontextmanager
async def fresh_database(postgres: PostgresServer, template: str = TEMPLATE) -> AsyncIterator[str]:
    """The url of a new database, dropped at the end. `template="template0"` gives an empty one."""
    name = f"test_{next(_number)}"
    async with connect(postgres.database_url("postgres"), timeout_s=CONNECT_TIMEOUT_S) as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield postgres.database_url(name)
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
