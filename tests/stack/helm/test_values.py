"""Values that are misspelt or out of range are refused before anything is installed."""

import json
from typing import Any

import helm_python
import pytest
import yaml

from runtime.setting_names import OTEL_NAMES, SETTING_NAMES
from runtime.version import version
from tests.support.chart import CHART, VALUES, chart, rendered

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

SET_BY_THE_CHART = {
    "CONSOLE_HOST", "CONSOLE_PORT", "CONSUMERS_METRICS_HOST", "CONSUMERS_METRICS_PORT", "GATEWAY_HOST",
    "GATEWAY_OPERATORS_HOST", "GATEWAY_OPERATORS_PORT", "GATEWAY_OPERATORS_URL", "GATEWAY_PORT", "GATEWAY_TLS_CERT",
    "GATEWAY_TLS_KEY", "SOURCES_FILE",
}  # fmt: skip
SECRET = {
    "CONSOLE_PASSWORD_HASH", "DATABASE_READ_URL", "DATABASE_URL", "GATEWAY_REDIS_PASSWORD", "MIGRATE_DATABASE_URL",
    "NOTIFY_SECRET", "NOTIFY_URL", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "REDIS_URL", "WORKERS_POSTGRES_PASSWORD",
    "WORKERS_REDIS_PASSWORD",
}  # fmt: skip
OF_MAKE_UP = {"CONSUMERS", "DATA_DIR", "LOG_BYTES_MAX", "STACK", "STOP_TIMEOUT_S", "UP_TIMEOUT_S"}


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(helm_python.HelmError) as error:
        chart().render(values, name="pay")
    return str(error.value)


def test_the_chart_has_the_products_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (version(), version())


def test_every_setting_can_be_passed_but_secrets_and_what_the_chart_sets() -> None:
    without_headers = {name for name in OTEL_NAMES if not name.endswith("_HEADERS")}
    expected = (SETTING_NAMES | without_headers) - SET_BY_THE_CHART - SECRET - OF_MAKE_UP
    assert set(SCHEMA["properties"]["settings"]["propertyNames"]["enum"]) == expected


def objects_in(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    found = {path: schema} if "properties" in schema else {}
    for name, each in schema.get("properties", {}).items():
        if "$ref" in each:
            continue
        found |= objects_in(each, f"{path}.{name}".lstrip("."))
    return found


def test_no_object_takes_unknown_names() -> None:
    open_ones = {path for path, each in objects_in(SCHEMA).items() if each.get("additionalProperties") is not False}
    assert open_ones == {"settings"}, "settings are checked by propertyNames"


def test_the_values_and_the_schema_have_the_same_names() -> None:
    for path, each in objects_in(SCHEMA).items():
        if path == "settings":
            continue
        values: Any = VALUES
        for part in path.split(".") if path else []:
            values = values[part]
        assert set(values) == set(each["properties"]) - {"global"}, path


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"gatewy": {}}, "gatewy"),
        ({"gateway": {"replica": 3}}, "replica"),
        ({"settings": {"BATCH_SIZ": 10}}, "BATCH_SIZ"),
        ({"settings": {"REDIS_URL": "redis://:password@redis"}}, "REDIS_URL"),
        ({"settings": {"DRAIN_TIMEOUT_S": "20s"}}, "DRAIN_TIMEOUT_S"),
        ({"secrets": {"providers": [{"name": "STRIPE_WEBHOOK_SECRET", "value": "whsec_1"}]}}, "value"),
        ({"secrets": {"databaseUrl": {"existingSecret": ""}}}, "existingSecret"),
        ({"consumers": {"keda": {"minReplicas": 0}}}, "minReplicas"),
        ({"consumers": {"keda": {"enabled": True, "trigger": "redis-streams"}}}, "redisAddress"),
        (
            {
                "consumers": {"keda": {"enabled": True, "trigger": "redis-streams", "redisAddress": "redis:6379"}},
                "settings": {"PARTITIONS": 8},
            },
            "one stream only",
        ),
        ({"ingress": {"enabled": True}}, "host"),
        ({"networkPolicy": {"redis": {"ports": [6379]}}}, "ports"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    assert named in refused(values)


def test_a_text_and_a_number_of_seconds_mean_the_same() -> None:
    assert rendered({"settings": {"KEEPALIVE_S": 90}}) == rendered({"settings": {"KEEPALIVE_S": "90"}})
