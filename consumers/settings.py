"""The settings of a worker and of the commands about it. Built only in `__main__.py` files."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from contract.keys import PARTITIONS_MAX, PREFIX_DEFAULT
from runtime.settings import KeyPrefix, LogLevel, PostgresUrl, ProgramSettings, RedisUrl
from sql.pooled_connection import Pooler

DAY_S = 24 * 60 * 60
MIB = 1024 * 1024

KeptDays = Annotated[int, Field(ge=0, le=100 * 366)]
"""Days after which something is removed; 0: never."""

TRANSACTION_IDLE_FACTOR = 1.2
"""How much longer than one call of a handler Postgres must keep an idle transaction."""


def _one_and_a_half_lock_lives(known: dict[str, Any]) -> int:
    return int(known.get("lock_ttl_ms", 0)) * 3 // 2


class Settings(ProgramSettings):
    """All settings of a worker; each name in upper case is an environment variable, or a line of `.env`."""

    redis_url: RedisUrl
    """Your own Redis or Valkey: redis[s]:// (+sentinel, +cluster) or unix://; unset: the stack starts one."""

    database_url: PostgresUrl
    """Your own PostgreSQL: postgresql://; unset: the stack starts one."""

    database_pooler: Pooler = "none"
    """What DATABASE_URL leads through: none, or transaction: PgBouncer or another pooler, in any mode."""

    key_prefix: KeyPrefix = PREFIX_DEFAULT
    """The first part of every name in Redis, so that installations can share a server."""

    partitions: Annotated[int, Field(ge=1, le=PARTITIONS_MAX)] = 1
    """The streams among which events are shared by their payment; `make partitions N=…` changes it, live."""

    sources_file: Path = Path("sources.toml")
    """The file with each endpoint, its provider, secrets and posting rules. Workers do not read the secrets."""

    handlers: str = ""
    """module:name of your handlers (docs/handlers.md); empty: the built-in ones only."""

    handlers_folder: str = "docs/examples"
    """The folder that has this module, searched after everything installed. In Compose, the workers see this folder."""

    batch_size: Annotated[int, Field(ge=1, le=2000)] = 500
    """Entries of one transaction."""

    batch_bytes_max: Annotated[int, Field(ge=1)] = 4 * MIB
    """Bytes of one transaction; above it no more entries are read for it."""

    parked_max: Annotated[int, Field(ge=1)] = 2000
    """Delayed entries that a worker keeps; above it, it reads no more."""

    parked_bytes_max: Annotated[int, Field(ge=1)] = 64 * MIB
    """The bytes of these entries; above it, a worker reads no more."""

    block_ms: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """How long a read waits for new entries."""

    lock_ttl_ms: Annotated[int, Field(ge=100)] = 10_000
    """The life of a resource lock, renewed while the worker works under it."""

    claim_idle_ms: Annotated[int, Field(ge=100, default_factory=_one_and_a_half_lock_lives)]
    """The idle time after which another worker claims an entry; one and a half times LOCK_TTL_MS unless set."""

    slot_ttl_ms: Annotated[int, Field(ge=100)] = 10_000
    """The life of the lease on a worker's name, renewed."""

    busy_delay_ms: Annotated[int, Field(ge=1)] = 50
    """The delay before an entry of a locked resource is tried again, jittered."""

    max_attempts: Annotated[int, Field(ge=1)] = 10
    """Deliveries of an event that keeps failing, before it is dead-lettered."""

    retry_delay_ms: Annotated[int, Field(ge=1)] = 1000
    """The delay before the first retry of an event; doubles with each, jittered."""

    retry_delay_max_ms: Annotated[int, Field(ge=1)] = 300_000
    """The longest delay before a retry of an event."""

    outage_delay_ms: Annotated[int, Field(ge=1)] = 200
    """The delay before Redis or Postgres is tried again; doubles, jittered."""

    outage_delay_max_ms: Annotated[int, Field(ge=1)] = 3_000
    """The longest delay before Redis or Postgres is tried again."""

    seen_ttl_s: Annotated[int, Field(ge=60)] = 30 * DAY_S
    """How long Redis remembers an accepted event that is not committed yet; longer than any provider retries."""

    committed_ttl_s: Annotated[int, Field(ge=1)] = 3600
    """How long Redis remembers an event once it is committed; after it only Postgres does."""

    payloads_kept_days: KeptDays = 0
    """How long the signed bytes of an applied event are kept, by whole months; 0: for ever."""

    duplicates_kept_days: KeptDays = 0
    """How long it is kept which entries were duplicates; 0: for ever. Events are kept for ever in any case."""

    dead_letters_kept_days: KeptDays = 0
    """How long a dead letter is kept after it was replayed or discarded; 0: for ever. Open ones are always kept."""

    archive_after_days: KeptDays = 30
    """After how many quiet days events and payments move, by months, to tables that workers do not write; 0: never."""

    redis_timeout_s: Annotated[float, Field(gt=0)] = 5
    """The limit for connecting to Redis and for one exchange with it; past it the gateway answers 503."""

    acquire_timeout_s: Annotated[float, Field(gt=0)] = 5
    """The limit for getting a Postgres connection."""

    statement_timeout_s: Annotated[float, Field(gt=0)] = 30
    """The limit for one Postgres statement, on both sides."""

    row_lock_timeout_s: Annotated[float, Field(gt=0)] = 5
    """The limit for waiting for a lock inside Postgres, of an event that is tried alone."""

    transaction_idle_s: Annotated[float, Field(gt=0)] = 15
    """The idle time after which Postgres ends the transaction of a stopped worker."""

    batch_lock_timeout_ms: Annotated[int, Field(ge=10)] = 250
    """How long a batch may wait for a lock inside Postgres; past it, the event that meets it is tried alone."""

    handler_timeout_s: Annotated[float, Field(gt=0)] = 10
    """The limit for one call of a handler."""

    handler_slow_ms: Annotated[int, Field(ge=2)] = 5
    """How long a handler may keep its batch waiting, 40 times this for Postgres; past it, its event is tried alone."""

    handler_blocked_s: Annotated[float, Field(gt=0)] = 1
    """How long a handler may block its worker's event loop; past it, it is named in log, metric and `make pending`."""

    side_lane_max: Annotated[int, Field(ge=1, le=64)] = 4
    """Events that a worker tries alone at a time, each on a Postgres connection of its own."""

    confirm_concurrent: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests at a time that a worker makes to the API of one source with `confirm = "api"`."""

    confirm_per_s: Annotated[float, Field(gt=0, le=10_000)] = 20
    """Requests a second that a worker makes to it; never more than the provider allows."""

    confirm_timeout_s: Annotated[float, Field(gt=0, le=300)] = 10
    """The limit for one request; what takes longer is an outage, and is tried again."""

    confirm_lag_s: Annotated[int, Field(ge=0)] = 600
    """How long an API may say something else than an event, before it is recorded that the two disagree."""

    confirm_not_found_s: Annotated[int, Field(ge=0)] = 3600
    """How long an API may not know an event's object, before the event is recorded as one about nothing."""

    drain_timeout_s: Annotated[float, Field(gt=0)] = 20
    """The limit for finishing the entries in flight after SIGTERM; 5 s later the worker ends in any case."""

    progress_limit_s: Annotated[float, Field(gt=0)] = 60
    """The time without progress after which a worker ends itself."""

    metrics_host: Annotated[str, Field(validation_alias="CONSUMERS_METRICS_HOST")] = "127.0.0.1"
    """The address where the workers serve /metrics and /healthz."""

    metrics_port: Annotated[int, Field(ge=0, le=65_535, validation_alias="CONSUMERS_METRICS_PORT")] = 9100
    """The port of the workers' /metrics and /healthz, shared by all of a host; 0: none; unset: 9100 if free."""

    log_level: LogLevel = "INFO"
    """The lowest level that is logged."""

    consumers_log_level: LogLevel | None = None
    """The workers' own level; unset: LOG_LEVEL."""

    event_log: bool = False
    """Whether gateway and workers log a line for each event: its id, source, trace id and time, and nothing of it."""

    @model_validator(mode="after")
    def _claims_come_after_the_lock(self) -> Self:
        if self.claim_idle_ms <= self.lock_ttl_ms:
            raise ValueError("CLAIM_IDLE_MS must be longer than LOCK_TTL_MS, or entries are claimed while locked")
        return self

    @model_validator(mode="after")
    def _handlers_have_time(self) -> Self:
        if self.transaction_idle_s < self.handler_timeout_s * TRANSACTION_IDLE_FACTOR:
            raise ValueError(
                f"TRANSACTION_IDLE_S must be at least {TRANSACTION_IDLE_FACTOR} times HANDLER_TIMEOUT_S, or Postgres"
                " ends the transaction of a slow handler as if its worker were gone, and the event is retried for ever"
            )
        return self

    @property
    def heartbeat_s(self) -> float:
        """The time between renewals of locks, lease and entries in flight: three before the first of them expires."""
        return min(self.lock_ttl_ms, self.slot_ttl_ms, self.claim_idle_ms) / 3000
