"""The settings of the commands and the console: the workers', and where people read. Built only in `__main__.py`."""

from consumers.settings import Settings as WorkersSettings
from runtime.settings import PostgresUrl


class Settings(WorkersSettings):
    """All settings that commands and console share."""

    database_read_url: PostgresUrl | None = None
    """A replica of that database, where console, `why`, `events` and `status` read; unset: they read the primary."""
