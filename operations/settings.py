"""The settings of the commands and the console: the workers', and where people read. Built only in `__main__.py`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from consumers.settings import Settings as WorkersSettings
from runtime.settings import PostgresUrl, ProgramSettings


class Settings(WorkersSettings):
    """All settings that commands and console share."""

    database_read_url: PostgresUrl | None = None
    """A replica of that database, where console, `why`, `events` and `status` read; unset: they read the primary."""

    backlog_limit: Annotated[int, Field(ge=1)] = 1_000_000
    """The length of the stream above which new events are answered 429."""

    reconcile_grace_s: Annotated[float, Field(ge=0, le=24 * 60 * 60)] = 300
    """How old an event that the provider lists must be, to be missing if it did not arrive."""


class SourcesFile(ProgramSettings):
    """Where the sources are: all that the check of their credentials needs. No server need run for it."""

    sources_file: Path = Path("sources.toml")
    """The file with each endpoint, its provider, secrets and posting rules. Workers do not read the secrets."""
