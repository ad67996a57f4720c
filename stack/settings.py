"""The settings of how the stack is run. Built only in `__main__.py`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from contract.keys import PREFIX_DEFAULT
from runtime.settings import KeyPrefix, PostgresUrl, ProgramSettings, RedisUrl

CONSUMERS_MAX = 256
"""More workers than this on one host is a typing mistake."""


class Settings(ProgramSettings):
    """All settings of one stack; each name in upper case is an environment variable, or a line of `.env`."""

    data_dir: Path = Path(".data")
    """Where the embedded stack keeps its data, its logs, and the ports it chose."""

    stack: Literal["compose", "embedded"] | None = None
    """compose or embedded; unset: as before, else Docker Compose where an engine answers, else embedded."""

    consumers: Annotated[int, Field(ge=0, le=CONSUMERS_MAX)] = 2
    """How many workers `make up` starts; `make consumers N=…` changes a running pool."""

    gateway_host: str = "127.0.0.1"
    """The address the gateway listens on; 0.0.0.0 or :: for all."""

    gateway_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The gateway's port; unset: 8080, or a free one that `make up` chooses and remembers in DATA_DIR."""

    gateway_operators_host: str = "127.0.0.1"
    """The address of the operators' port."""

    gateway_operators_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """The port of the gateway's /metrics, health and documentation for operators; 0: none; unset: 9101 if free."""

    gateway_tls_cert: Path | None = None
    """The certificate chain for HTTPS, a PEM file; with GATEWAY_TLS_KEY. TLS 1.2 or later. Unset: plain HTTP."""

    gateway_tls_key: Path | None = None
    """The private key of that certificate, a PEM file without a password. `make up` in Docker Compose refuses both."""

    consumers_metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """The port of the workers' /metrics and /healthz, shared by all of a host; 0: none; unset: 9100 if free."""

    consumers_metrics_host: str = "127.0.0.1"
    """The address where the workers serve /metrics and /healthz."""

    console_host: str = "127.0.0.1"
    """The address where the console listens. Beyond this host, put a proxy with TLS before it."""

    console_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """The console's port; 0: no console; unset: 9180 if free."""

    console_password_hash: SecretStr = SecretStr("")
    """Who may sign in: hashes of `python -m operations password`, or name:roles:hash of several people, with spaces."""

    console_trusted_proxies: str = ""
    """Addresses or networks of proxies that sign people in: their X-Forwarded-User is believed; with spaces."""

    up_timeout_s: Annotated[float, Field(gt=0)] = 60
    """How long `make up` waits for what it started."""

    stop_timeout_s: Annotated[float, Field(gt=0)] = 60
    """How long a part may take to stop before it is killed; above SHUTDOWN_TIMEOUT_S and DRAIN_TIMEOUT_S."""

    log_bytes_max: Annotated[int, Field(ge=10_000)] = 20_000_000
    """A larger log file is renamed to end in `.1`, in place of the one before."""

    sources_file: Path = Path("sources.toml")
    """The file with each endpoint, its provider, secrets and posting rules. Workers do not read the secrets."""

    handlers: str = ""
    """module:name of your handlers (docs/handlers.md); empty: the built-in ones only."""

    handlers_folder: Path = Path("docs/examples")
    """The folder that has this module, searched after everything installed. In Compose, the workers see this folder."""

    key_prefix: KeyPrefix = PREFIX_DEFAULT
    """The first part of every name in Redis, so that installations can share a server."""

    redis_url: RedisUrl | None = None
    """Your own Redis or Valkey: redis[s]:// (+sentinel, +cluster) or unix://; unset: the stack starts one."""

    database_url: PostgresUrl | None = None
    """Your own PostgreSQL: postgresql://; unset: the stack starts one."""

    redis_password: SecretStr = SecretStr("")
    """The password of the Redis that the stack starts; `make up` makes one at random."""

    gateway_redis_password: SecretStr = SecretStr("")
    """The password there of the user `gateway`, who may publish; `make up` makes one at random."""

    workers_redis_password: SecretStr = SecretStr("")
    """The password there of the user `workers`, who may read and acknowledge; `make up` makes one at random."""

    postgres_password: SecretStr = SecretStr("")
    """The password of the owner in the PostgreSQL that the stack starts; `make up` makes one at random."""

    workers_postgres_password: SecretStr = SecretStr("")
    """The password there of the role `payments_worker`, which owns nothing; `make up` makes one at random."""

    @property
    def mounted_files(self) -> dict[str, list[Path]]:
        """The files that the container of a service has mounted. Compose notices no change in them itself."""
        of_workers = [self.sources_file, *self._handlers_code()]
        of_all = [self.sources_file]
        return {"gateway": of_all, "consumers": of_workers, "console": of_workers, "reconciler": of_all}

    def _handlers_code(self) -> list[Path]:
        """Return the files of the module, or of the package that it is in."""
        if not self.handlers:
            return []
        name = self.handlers.partition(":")[0].partition(".")[0]
        return [self.handlers_folder / f"{name}.py", *sorted((self.handlers_folder / name).rglob("*.py"))]

    @property
    def gateway_scheme(self) -> Literal["http", "https"]:
        """The scheme of the gateway's address."""
        return "https" if self.gateway_tls_cert else "http"

    @property
    def hosts(self) -> dict[str, str]:
        """The addresses that programs listen on, by the names of their settings."""
        hosts = {"GATEWAY_HOST": self.gateway_host}
        if self.gateway_operators_port != 0:
            hosts["GATEWAY_OPERATORS_HOST"] = self.gateway_operators_host
        if self.consumers_metrics_port != 0:
            hosts["CONSUMERS_METRICS_HOST"] = self.consumers_metrics_host
        return hosts

    @property
    def ports_asked_for(self) -> dict[str, int | None]:
        """The ports that are set, so that the stack does not choose them."""
        return {
            "gateway": self.gateway_port,
            "consumers_metrics": self.consumers_metrics_port,
            "gateway_operators": self.gateway_operators_port,
            "console": self.console_port,
        }
