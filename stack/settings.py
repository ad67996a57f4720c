"""What the environment, then `.env`, say about how the stack is run. Built only in `__main__.py`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from stack import state

CONSUMERS_MAX = 256
"""More workers than this on one host is a typing mistake."""


class Settings(BaseSettings):
    """One stack: its folder, its ports, its servers. The process environment wins over `.env`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Path(".data")
    """Where the embedded stack keeps its data, its logs, and what it chose."""

    stack: Literal["compose", "embedded"] | None = None
    """How it is run; None: Docker Compose where an engine answers, else embedded."""

    consumers: int = Field(default=2, ge=0, le=CONSUMERS_MAX)
    """How many workers `make up` starts; `make consumers N=…` changes a running pool."""

    gateway_host: str = "127.0.0.1"
    gateway_port: int | None = Field(default=None, ge=1, le=65535)
    """None: 8080 where it is free, else a free one, remembered in DATA_DIR."""

    consumers_metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """None: 9100 where it is free, else a free one, remembered in DATA_DIR. 0: the workers open none."""

    up_timeout_s: float = Field(default=60, gt=0)
    """How long `make up` waits for what it started."""

    stop_timeout_s: float = Field(default=60, gt=0)
    """How long a gateway or worker may finish what it has in hand before it is killed; above SHUTDOWN_TIMEOUT_S and
    DRAIN_TIMEOUT_S, their own limits."""

    log_bytes_max: int = Field(default=20_000_000, ge=10_000)
    """A log file above this is moved to `.1`, over the one before."""

    sources_file: Path = Path("sources.toml")
    """Read by the gateway and the workers; `make up` starts everything again when it changed."""

    redis_url: SecretStr | None = None
    """Set: this server is used as it is, and none is started."""

    database_url: SecretStr | None = None
    """Set: this server is used as it is, and none is started."""

    redis_password: SecretStr = SecretStr("")
    postgres_password: SecretStr = SecretStr("")

    @property
    def digest(self) -> str:
        """Differs when `make up` would start something else than the last one did."""
        return state.settings_digest([Path(".env"), self.sources_file, Path("requirements.lock")])

    @property
    def ports_asked_for(self) -> dict[str, int | None]:
        """The ports that are named and so are not ours to choose."""
        return {"gateway": self.gateway_port, "consumers_metrics": self.consumers_metrics_port}
