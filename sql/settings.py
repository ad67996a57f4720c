"""The settings of `python -m sql`: from the environment, then `.env`, then what the running stack wrote down."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ENV_FILE = Path(".env")
STACK_FILE = "stack.env"


class Location(BaseSettings):
    """Where the running stack keeps its data, and so its `stack.env`."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    data_dir: Path = Path(".data")


class Settings(BaseSettings):
    """What the commands need. Built in `__main__` only."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", frozen=True, validate_default=True, hide_input_in_errors=True
    )

    database_url: SecretStr = SecretStr("")
    """postgresql://user:password@host:port/database"""

    database_connect_timeout_s: PositiveFloat = 10
    """How long one attempt to connect may take."""

    migrate_wait_s: Annotated[float, Field(ge=0)] = 60
    """How long `migrate` waits for a database that is still starting."""

    migrate_lock_wait_s: PositiveFloat = 300
    """How long `migrate` waits for another one that is under way."""

    audit_timeout_s: PositiveFloat = 600
    """How long one invariant may take to check; a large database is read whole."""

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value():
            raise ValueError("it is not set, and no stack has written it down: `make up` starts one")
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("it does not begin with postgresql://")
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first that knows a value wins."""
        stack = DotEnvSettingsSource(settings_cls, env_file=Location().data_dir / STACK_FILE)
        return init_settings, env_settings, dotenv_settings, stack
