"""What a worker can be told. Every limit has its name here; read once, in `__main__`."""

from typing import Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.keys import PREFIX_DEFAULT

DAY_S = 24 * 60 * 60
MIB = 1024 * 1024

TRANSACTION_IDLE_FACTOR = 1.2
"""How much longer than one call of a handler Postgres must keep a silent transaction."""

_SCHEMES = {"redis_url": ("redis://", "rediss://", "unix://"), "database_url": ("postgresql://", "postgres://")}


class Settings(BaseSettings):
    """A worker's limits and addresses, by their names in the environment. Units are in the names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    redis_url: SecretStr = Field(description="redis://, rediss:// or unix://; may hold a password")
    database_url: SecretStr = Field(description="postgresql://; may hold a password")
    key_prefix: str = Field(PREFIX_DEFAULT, min_length=1, description="what every Redis name begins with")
    sources_file: str = Field(
        "sources.toml", description="where sources say how their money is booked; no secrets read"
    )
    handlers: str = Field("", description="module:name of the user's handlers; empty: the built-in ones only")
    handlers_folder: str = Field(
        "docs/examples", description="where that module is looked for, after all that is installed"
    )

    batch_size: int = Field(500, ge=1, le=2000, description="entries of one transaction")
    batch_bytes_max: int = Field(4 * MIB, ge=1, description="bytes of one transaction, past which no more is read")
    parked_max: int = Field(2000, ge=1, description="entries a worker keeps while they wait; past it, it reads no more")
    parked_bytes_max: int = Field(64 * MIB, ge=1, description="the same in bytes")
    block_ms: int = Field(1000, ge=1, le=10_000, description="how long a read waits for new entries")

    lock_ttl_ms: int = Field(10_000, ge=100, description="the resource lock's life, renewed while work goes on")
    claim_idle_ms: int = Field(
        default_factory=lambda known: known.get("lock_ttl_ms", 0) * 3 // 2,
        ge=100,
        description="idle time after which another worker takes an entry over; one and a half lock lives unless set",
    )
    slot_ttl_ms: int = Field(10_000, ge=100, description="the life of a worker's claim on its name, renewed")
    busy_delay_ms: int = Field(50, ge=1, description="before a busy resource is tried again, jittered")

    max_attempts: int = Field(10, ge=1, description="deliveries before an event that keeps failing is dead-lettered")
    retry_delay_ms: int = Field(1000, ge=1, description="before the first retry; doubles with each, jittered")
    retry_delay_max_ms: int = Field(300_000, ge=1, description="the longest wait between two attempts")
    outage_delay_ms: int = Field(200, ge=1, description="before Redis or Postgres is tried again; doubles, jittered")
    outage_delay_max_ms: int = Field(10_000, ge=1, description="the longest wait for Redis or Postgres")

    seen_ttl_s: int = Field(30 * DAY_S, ge=60, description="life of the duplicate marker of an accepted event")
    committed_ttl_s: int = Field(3600, ge=1, description="its life once committed; after it only Postgres remembers")

    redis_timeout_s: float = Field(5, gt=0, description="for one Redis command, beyond the time a read may block")
    acquire_timeout_s: float = Field(5, gt=0, description="for a Postgres connection")
    statement_timeout_s: float = Field(30, gt=0, description="for one Postgres statement, on both sides")
    row_lock_timeout_s: float = Field(5, gt=0, description="for a lock inside Postgres, such as a resource's")
    transaction_idle_s: float = Field(15, gt=0, description="after which Postgres ends a stopped worker's transaction")
    handler_timeout_s: float = Field(10, gt=0, description="for one call of a handler")
    drain_timeout_s: float = Field(20, gt=0, description="to finish what is in hand after SIGTERM")
    progress_limit_s: float = Field(60, gt=0, description="without progress, after which a worker ends itself")

    metrics_host: str = Field("127.0.0.1", validation_alias="CONSUMERS_METRICS_HOST")
    metrics_port: int = Field(9100, ge=0, le=65535, validation_alias="CONSUMERS_METRICS_PORT", description="0: none")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator(*_SCHEMES)
    @classmethod
    def _scheme_is_known(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        schemes = _SCHEMES[str(info.field_name)]
        if not url.get_secret_value().startswith(schemes):
            raise ValueError(f"the URL starts with none of {', '.join(schemes)}")
        return url

    @model_validator(mode="after")
    def _takeover_is_late_enough(self) -> Self:
        if self.claim_idle_ms <= self.lock_ttl_ms:
            raise ValueError("CLAIM_IDLE_MS must be longer than LOCK_TTL_MS, or entries are taken over while locked")
        return self

    @model_validator(mode="after")
    def _handlers_have_time(self) -> Self:
        if self.transaction_idle_s < self.handler_timeout_s * TRANSACTION_IDLE_FACTOR:
            raise ValueError(
                f"TRANSACTION_IDLE_S must be at least {TRANSACTION_IDLE_FACTOR} times HANDLER_TIMEOUT_S: Postgres would"
                " end the transaction of a slow handler as if its worker were gone, and the event be tried for ever"
            )
        return self

    @property
    def heartbeat_s(self) -> float:
        """How often locks, entries in hand and the slot are renewed: three chances before the first one expires."""
        return min(self.lock_ttl_ms, self.slot_ttl_ms, self.claim_idle_ms) / 3000
