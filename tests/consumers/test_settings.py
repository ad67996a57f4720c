"""A worker's settings, and those that stop it before it starts."""

import pytest
from pydantic import ValidationError

from consumers.settings import DAY_S, Settings
from tests.support.stream_states import settings_for

URLS = ("redis://:hush@nowhere/0", "postgresql://me:hush@nowhere/db")


def test_the_documented_defaults() -> None:
    settings = settings_for(*URLS, "payments")
    assert settings.lock_ttl_ms == 10_000
    assert settings.max_attempts == 10
    assert settings.seen_ttl_s == 30 * DAY_S
    assert settings.committed_ttl_s == 3600
    assert settings.claim_idle_ms > settings.lock_ttl_ms
    assert 3 * settings.heartbeat_s <= min(settings.lock_ttl_ms, settings.slot_ttl_ms, settings.claim_idle_ms) / 1000


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REDIS_URL": URLS[0], "DATABASE_URL": URLS[1], "LOCK_TTL_MS": "300", "MAX_ATTEMPTS": "3",
                        "CONSUMERS_METRICS_PORT": "0", "CLAIM_IDLE_MS": ""}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings = Settings()  # type: ignore[call-arg] # from the environment
    assert (settings.lock_ttl_ms, settings.max_attempts, settings.metrics_port) == (300, 3, 0)
    assert settings.heartbeat_s == 0.1


def test_no_password_is_shown() -> None:
    assert "hush" not in repr(settings_for(*URLS, "payments"))


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"batch_size": 100_000},
        {"max_attempts": 0},
        {"block_ms": 0},
        {"redis_timeout_s": 0},
        {"claim_idle_ms": 10_000},
        {"lock_ttl_ms": 20_000, "claim_idle_ms": 15_000},
        {"transaction_idle_s": 10, "handler_timeout_s": 10},
        {"key_prefix": ""},
        {"redis_url": "http://:hush@nowhere"},
        {"database_url": "mysql://:hush@nowhere"},
        {"log_level": "LOUD"},
    ],
    ids=str,
)
def test_impossible_settings_are_refused_without_showing_a_secret(change: dict[str, object]) -> None:
    values = {"redis_url": URLS[0], "database_url": URLS[1], "key_prefix": "payments"} | change
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate(values)
    assert "hush" not in str(raised.value)
