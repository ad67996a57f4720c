"""The gateway's settings, from the environment. Built only in `__main__.py`."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from contract.keys import PARTITIONS_MAX, PREFIX_DEFAULT
from runtime.durability import Durability
from runtime.settings import KeyPrefix, LogLevel, ProgramSettings, RedisUrl

DAY_S = 86_400


class Settings(ProgramSettings):
    """All settings of the gateway; each name in upper case is an environment variable, or a line of `.env`."""

    redis_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    """Your own Redis or Valkey: redis[s]:// (+sentinel, +cluster) or unix://; unset: the stack starts one."""

    key_prefix: KeyPrefix = PREFIX_DEFAULT
    """The first part of every name in Redis, so that installations can share a server."""

    partitions: Annotated[int, Field(ge=1, le=PARTITIONS_MAX)] = 1
    """The streams among which events are shared by their payment; `make partitions N=…` changes it, live."""

    sources_file: Path = Path("sources.toml")
    """The file with each endpoint, its provider, secrets and posting rules. Workers do not read the secrets."""

    gateway_host: str = "127.0.0.1"
    """The address the gateway listens on; 0.0.0.0 or :: for all."""

    gateway_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """The gateway's port; unset: 8080, or a free one that `make up` chooses and remembers in DATA_DIR."""

    gateway_operators_host: str = "127.0.0.1"
    """The address of the operators' port."""

    gateway_operators_port: Annotated[int, Field(ge=0, le=65_535)] = 9101
    """The port of the gateway's /metrics, health and documentation for operators; 0: none; unset: 9101 if free."""

    gateway_tls_cert: Path | None = None
    """The certificate chain for HTTPS, a PEM file; with GATEWAY_TLS_KEY. TLS 1.2 or later. Unset: plain HTTP."""

    gateway_tls_key: Path | None = None
    """The private key of that certificate, a PEM file without a password. `make up` in Docker Compose refuses both."""

    gateway_access_log: bool = False
    """Whether every answered request is logged: method, path, status, bytes, seconds, client."""

    gateway_processes: Annotated[int, Field(ge=1, le=64)] = 1
    """How many processes share the port."""

    durability: Durability = "fsync"
    """What a 2xx guarantees: `fsync`, `fsync+replica`, or `memory` (a crash of Redis may lose accepted events)."""

    replicas: Annotated[int, Field(ge=1, le=16)] = 1
    """How many replicas must confirm, with DURABILITY=fsync+replica."""

    durability_check_s: Annotated[float, Field(gt=0, le=300)] = 2.0
    """How often Redis is asked again whether it still guarantees that durability."""

    durability_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """How long WAITAOF or WAIT may take to confirm a write; less than REDIS_TIMEOUT_S."""

    redis_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """The limit for connecting to Redis and for one exchange with it; past it the gateway answers 503."""

    backlog_limit: Annotated[int, Field(ge=1)] = 1_000_000
    """The length of the stream above which new events are answered 429."""

    seen_ttl_s: Annotated[int, Field(ge=60)] = 30 * DAY_S
    """How long Redis remembers an accepted event that is not committed yet; longer than any provider retries."""

    publish_exchanges_max: Annotated[int, Field(ge=1, le=16)] = 2
    """Exchanges with Redis at a time, each on a connection of its own."""

    publish_batch_max: Annotated[int, Field(ge=1, le=4000)] = 1000
    """Events in one exchange with Redis."""

    publish_batch_bytes_max: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    """Bytes in one exchange with Redis; one event always fits."""

    publish_queue_max: Annotated[int, Field(ge=1)] = 10_000
    """Deliveries of one process that may wait for Redis; above it the answer is 503."""

    body_bytes_max: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    """The largest body of every source; a larger one is answered 413. Unset: what each provider needs."""

    body_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """How long a body may take to arrive; a slower one is answered 408."""

    header_line_bytes_max: Annotated[int, Field(ge=1024, le=65_536)] = 8190
    """The longest request line, and the longest header; a longer one is answered 431."""

    headers_bytes_max: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    """All headers of one request, with its first line; more are answered 431."""

    headers_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """How long all headers of a request may take from their first byte; then the connection ends."""

    unverified_bytes_max: Annotated[int, Field(ge=1024 * 1024)] = 64 * 1024 * 1024
    """Bytes that one process keeps for requests without an answer; above it, the largest and oldest give way: 503."""

    headers_max: Annotated[int, Field(ge=16, le=1024)] = 128
    """The most headers in one request."""

    first_request_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """How long a new connection may be silent until its first request begins; then it ends."""

    keepalive_s: Annotated[float, Field(gt=0)] = 75.0
    """How long a connection may be idle after an answer; longer than a proxy in front keeps its own."""

    unread_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """How long a client may leave answers unread that no buffer holds any more; then the connection ends."""

    linger_s: Annotated[float, Field(ge=0)] = 2.0
    """How long the rest of a refused body is read, so that the sender gets to read the answer."""

    connections_max: Annotated[int, Field(ge=1)] = 4096
    """Open connections of one process, half with TLS; above it, the one that waits longest is ended, else 503."""

    prefer_wait_s_max: Annotated[float, Field(ge=0, le=60)] = 30.0
    """The longest time `Prefer: wait=N` may ask to wait for the commit."""

    retry_after_s: Annotated[int, Field(ge=1)] = 5
    """The Retry-After of 429 and 503."""

    shutdown_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    """How long requests under way may take after SIGTERM."""

    log_level: LogLevel = "INFO"
    """The lowest level that is logged."""

    gateway_log_level: LogLevel | None = None
    """The gateway's own level; unset: LOG_LEVEL."""

    event_log: bool = False
    """Whether gateway and workers log a line for each event: its id, source, trace id and time, and nothing of it."""

    refusals_logged_per_minute: Annotated[int, Field(ge=1)] = 60
    """Refused requests of one kind that are logged; the others are only counted, so that nobody can fill the disk."""

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.gateway_tls_cert is None) != (self.gateway_tls_key is None):
            raise ValueError("GATEWAY_TLS_CERT and GATEWAY_TLS_KEY must be set together")
        return self

    @model_validator(mode="after")
    def _confirmation_fits_in_the_exchange(self) -> Self:
        if self.durability_timeout_s >= self.redis_timeout_s:
            raise ValueError("DURABILITY_TIMEOUT_S must be less than REDIS_TIMEOUT_S")
        return self
