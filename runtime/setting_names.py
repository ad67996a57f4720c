"""The names of all settings, so that each program can recognise a misspelt one that another program reads.

tests/runtime/test_settings.py compares SETTING_NAMES with the Settings of every program.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

SIMILARITY_MIN = 0.88
"""How alike a misspelt and a known name are (difflib's ratio): about one letter in eight may be wrong."""

SETTING_NAMES = frozenset({
    "ACQUIRE_TIMEOUT_S",
    "ARCHIVE_AFTER_DAYS",
    "AUDIT_TIMEOUT_S",
    "BACKLOG_LIMIT",
    "BATCH_BYTES_MAX",
    "BATCH_LOCK_TIMEOUT_MS",
    "BATCH_SIZE",
    "BLOCK_MS",
    "BODY_BYTES_MAX",
    "BODY_TIMEOUT_S",
    "BUSY_DELAY_MS",
    "CLAIM_IDLE_MS",
    "COMMITTED_TTL_S",
    "CONFIRM_CONCURRENT",
    "CONFIRM_LAG_S",
    "CONFIRM_NOT_FOUND_S",
    "CONFIRM_PER_S",
    "CONFIRM_TIMEOUT_S",
    "CONNECTIONS_MAX",
    "CONSOLE_CONNECTIONS_MAX",
    "CONSOLE_HOST",
    "CONSOLE_HOSTS",
    "CONSOLE_LOG_LEVEL",
    "CONSOLE_PASSWORD_HASH",
    "CONSOLE_PORT",
    "CONSOLE_SESSION_S",
    "CONSOLE_TRUSTED_PROXIES",
    "CONSOLE_URL",
    "CONSUMERS",
    "CONSUMERS_LOG_LEVEL",
    "CONSUMERS_METRICS_HOST",
    "CONSUMERS_METRICS_PORT",
    "DATABASE_CONNECT_TIMEOUT_S",
    "DATABASE_POOLER",
    "DATABASE_READ_URL",
    "DATABASE_URL",
    "DATA_DIR",
    "DEAD_LETTERS_KEPT_DAYS",
    "DRAIN_TIMEOUT_S",
    "DUPLICATES_KEPT_DAYS",
    "DURABILITY",
    "DURABILITY_CHECK_S",
    "DURABILITY_TIMEOUT_S",
    "EVENT_LOG",
    "FIRST_REQUEST_TIMEOUT_S",
    "GATEWAY_ACCESS_LOG",
    "GATEWAY_HOST",
    "GATEWAY_LOG_LEVEL",
    "GATEWAY_OPERATORS_HOST",
    "GATEWAY_OPERATORS_PORT",
    "GATEWAY_OPERATORS_URL",
    "GATEWAY_PORT",
    "GATEWAY_PROCESSES",
    "GATEWAY_REDIS_PASSWORD",
    "GATEWAY_TLS_CERT",
    "GATEWAY_TLS_KEY",
    "HANDLERS",
    "HANDLERS_FOLDER",
    "HANDLER_BLOCKED_S",
    "HANDLER_SLOW_MS",
    "HANDLER_TIMEOUT_S",
    "HEADERS_BYTES_MAX",
    "HEADERS_MAX",
    "HEADERS_TIMEOUT_S",
    "HEADER_LINE_BYTES_MAX",
    "KEEPALIVE_S",
    "KEY_PREFIX",
    "LINGER_S",
    "LOCK_TTL_MS",
    "LOG_BYTES_MAX",
    "LOG_LEVEL",
    "MAX_ATTEMPTS",
    "MIGRATE_DATABASE_URL",
    "MIGRATE_LOCK_WAIT_S",
    "MIGRATE_WAIT_S",
    "NOTIFY_AUDIT_S",
    "NOTIFY_DELAY_S",
    "NOTIFY_OLDEST_S",
    "NOTIFY_REPEAT_S",
    "NOTIFY_SECRET",
    "NOTIFY_URL",
    "OUTAGE_DELAY_MAX_MS",
    "OUTAGE_DELAY_MS",
    "PARKED_BYTES_MAX",
    "PARKED_MAX",
    "PARTITIONS",
    "PAYLOADS_KEPT_DAYS",
    "POSTGRES_PASSWORD",
    "PREFER_WAIT_S_MAX",
    "PROGRESS_LIMIT_S",
    "PUBLISH_BATCH_BYTES_MAX",
    "PUBLISH_BATCH_MAX",
    "PUBLISH_EXCHANGES_MAX",
    "PUBLISH_QUEUE_MAX",
    "RECONCILE_GRACE_S",
    "REDIS_PASSWORD",
    "REDIS_TIMEOUT_S",
    "REDIS_URL",
    "REFUSALS_LOGGED_PER_MINUTE",
    "REPLICAS",
    "RETRY_AFTER_S",
    "RETRY_DELAY_MAX_MS",
    "RETRY_DELAY_MS",
    "ROW_LOCK_TIMEOUT_S",
    "SEEN_TTL_S",
    "SHUTDOWN_TIMEOUT_S",
    "SIDE_LANE_MAX",
    "SLOT_TTL_MS",
    "SOURCES_FILE",
    "STACK",
    "STATEMENT_TIMEOUT_S",
    "STOP_TIMEOUT_S",
    "TRANSACTION_IDLE_S",
    "UNREAD_TIMEOUT_S",
    "UNVERIFIED_BYTES_MAX",
    "UP_TIMEOUT_S",
    "WORKERS_POSTGRES_PASSWORD",
    "WORKERS_REDIS_PASSWORD",
})  # fmt: skip

SECRET_SETTINGS = frozenset({
    "CONSOLE_PASSWORD_HASH",
    "DATABASE_READ_URL",
    "DATABASE_URL",
    "GATEWAY_REDIS_PASSWORD",
    "MIGRATE_DATABASE_URL",
    "NOTIFY_SECRET",
    "NOTIFY_URL",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "REDIS_URL",
    "WORKERS_POSTGRES_PASSWORD",
    "WORKERS_REDIS_PASSWORD",
})  # fmt: skip
"""The settings that are secrets. Containers get them as files."""

_OTEL_SIGNALS = ("", "TRACES_", "METRICS_", "LOGS_")
_OTEL_OF_A_SIGNAL = (
    "ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE",
)  # fmt: skip
OTEL_NAMES = frozenset({
    "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER",
    "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    *(f"OTEL_EXPORTER_OTLP_{signal}{what}" for signal in _OTEL_SIGNALS for what in _OTEL_OF_A_SIGNAL),
})  # fmt: skip
"""Standard names of OpenTelemetry; docs/tracing.md says which of them the programs use."""

COMPOSE_NAMES = frozenset({
    "PYTHON_IMAGE", "VALKEY_IMAGE", "POSTGRES_IMAGE",
    "PROMETHEUS_IMAGE", "ALERTMANAGER_IMAGE", "GRAFANA_IMAGE", "JAEGER_IMAGE",
    "VALKEY_MAXMEMORY", "POSTGRES_WAL_COMPRESSION", "POSTGRES_SHARED_BUFFERS", "FILES_MAX", "CONTAINER_SECRETS",
    *(f"{service}_{limit}" for service in ("VALKEY", "POSTGRES", "GATEWAY", "CONSUMER", "CONSOLE", "RECONCILER")
      for limit in ("MEMORY", "CPUS", "PIDS")),
})  # fmt: skip
"""What compose.yaml takes from `.env`: images, limits, and two settings of Postgres."""

OTHER_NAMES = OTEL_NAMES | frozenset({
    "COMPOSE_PROFILES", "ENV_FILE", "GATEWAY_URL", "POSTGRES_PORT",  # compose.yaml and stack.env
    "REDIS_PORT", "SETTINGS_DIGEST",
    "CONSUMERS_SETTINGS_DIGEST", "GATEWAY_SETTINGS_DIGEST", "CONSOLE_SETTINGS_DIGEST", "RECONCILER_SETTINGS_DIGEST",
    "VALKEY_SETTINGS_DIGEST",
    "SECRETS_FOLDER", *COMPOSE_NAMES,
    "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "PROMETHEUS_MULTIPROC_DIR",
    "STANDARD_WEBHOOKS_SECRET", "STRIPE_WEBHOOK_SECRET", "WEBHOOK_SECRET",  # written by `make up`
})  # fmt: skip
"""Names in use that no Settings has."""


def misspelt_names(env_file: Mapping[str, str | None], secrets: Collection[str]) -> list[str]:
    """Return a sentence for each name in `.env` that looks like a known name misspelt.

    `secrets` are the names that sources.toml refers to. `.env` may also hold names of other tools, and secrets that are
    not in use yet, so these are left alone:
    - a name that is not nearly the same as a known one;
    - a known name with something added, such as WEBHOOK_SECRET_OLD or REDIS_URL2;
    - a name like that of a secret which is set as well: two endpoints' secrets are often called nearly the same.
    """
    names = {name.upper() for name in env_file}
    known = SETTING_NAMES | OTHER_NAMES | {name.upper() for name in secrets}
    candidates = sorted(known - (names - SETTING_NAMES))
    problems = []
    for name in sorted(names - known):
        meant = next(iter(get_close_matches(name, candidates, n=1, cutoff=SIMILARITY_MIN)), None)
        if meant and not re.fullmatch(rf"(\w+_)?{re.escape(meant)}(\d+|_\w+)?", name):
            problems.append(f"{name} is not a setting; did you mean {meant}?")
    return problems
