"""The settings of `python -m sql`. Built only in `__main__.py`."""

from typing import Annotated

from pydantic import Field

from runtime.settings import PostgresUrl, ProgramSettings
from sql.pooled_connection import Pooler


class Settings(ProgramSettings):
    """All settings of the SQL commands; each name in upper case is an environment variable, or a line of `.env`."""

    database_url: PostgresUrl
    """Your own PostgreSQL: postgresql://; unset: the stack starts one."""

    database_pooler: Pooler = "none"
    """What DATABASE_URL leads through: none, or transaction: PgBouncer or another pooler, in any mode."""

    migrate_database_url: PostgresUrl | None = None
    """The same database, as the owner of its tables, for `migrate`; it grants the role in DATABASE_URL its rights."""

    database_connect_timeout_s: Annotated[float, Field(gt=0)] = 10
    """How long one attempt to connect may take."""

    migrate_wait_s: Annotated[float, Field(ge=0)] = 60
    """How long `migrate` waits for a database that is still starting."""

    migrate_lock_wait_s: Annotated[float, Field(gt=0)] = 300
    """How long `migrate` waits for another one that is under way."""

    audit_timeout_s: Annotated[float, Field(gt=0)] = 600
    """How long the check of one invariant may take; a large database is read whole."""
