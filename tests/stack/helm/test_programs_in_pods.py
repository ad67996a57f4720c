"""The Pods start the programs with what each needs, and with no more rights, secrets and neighbours than that."""

from typing import Any

import pytest

from consumers.settings import Settings as ConsumersSettings
from contract.keys import Keys
from gateway.settings import Settings as GatewaySettings
from tests.support.chart import EVERYTHING, by_name, environment, pods, rendered

DEFAULT = rendered()
FULL = rendered(EVERYTHING)
PROGRAMS = ["migrate", "gateway", "consumers", "console", "reconciler"]

OPTIONAL: dict[str, Any] = {"console": {"enabled": True}, "reconciler": {"enabled": True}}


def default_of(settings: type[Any], name: str) -> float:
    return float(settings.model_fields[name].default)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_pod_has_no_superfluous_rights(program: str) -> None:
    pod = pods(FULL)[program]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert "cpu" not in container["resources"]["limits"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_service_called_gateway_changes_no_setting(program: str) -> None:
    assert pods(FULL)[program]["enableServiceLinks"] is False


def test_the_commands_are_those_of_compose() -> None:
    assert {name: pod["containers"][0]["command"][2:] for name, pod in pods(FULL).items()} == {
        "migrate": ["sql", "migrate"],
        "gateway": ["gateway"],
        "consumers": ["consumers"],
        "console": ["operations", "console"],
        "reconciler": ["operations", "reconciler"],
    }


def test_each_program_gets_its_own_secrets_and_no_other() -> None:
    secrets = {
        name: {key: value for key, value in environment(pod).items() if isinstance(value, tuple)}
        for name, pod in pods(FULL).items()
    }
    workers = {
        "REDIS_URL": ("payment-webhooks", "WORKERS_REDIS_URL"),
        "DATABASE_URL": ("payment-webhooks", "DATABASE_URL"),
    }
    assert secrets == {
        "migrate": {
            "MIGRATE_DATABASE_URL": ("payment-webhooks", "MIGRATE_DATABASE_URL"),
            "DATABASE_URL": ("payment-webhooks", "DATABASE_URL"),
        },
        "gateway": {
            "REDIS_URL": ("payment-webhooks", "GATEWAY_REDIS_URL"),
            "STRIPE_WEBHOOK_SECRET": ("stripe", "signing"),
        },
        "consumers": workers | {"PAYPAL_CLIENT_SECRET": ("paypal", "client")},
        "console": {
            **workers,
            "CONSOLE_PASSWORD_HASH": ("payment-webhooks", "CONSOLE_PASSWORD_HASH"),
            "DATABASE_READ_URL": ("replica", "DATABASE_READ_URL"),
            "NOTIFY_URL": ("notify", "NOTIFY_URL"),
            "NOTIFY_SECRET": ("notify", "NOTIFY_SECRET"),
        },
        "reconciler": {
            **workers,
            "STRIPE_API_KEY": ("stripe", "api"),
            "PAYPAL_CLIENT_SECRET": ("paypal", "client"),
        },
    }


def test_settings_arrive_as_they_were_written() -> None:
    worker = environment(pods(FULL)["consumers"])
    assert worker["BACKLOG_LIMIT"] == "2000000"
    assert worker["DRAIN_TIMEOUT_S"] == "45.5"
    assert worker["EVENT_LOG"] == "true"
    assert worker["SHOP_URL"] == "https://shop.example"
    assert environment(pods(FULL)["migrate"])["MIGRATE_WAIT_S"] == "90"


@pytest.mark.parametrize("program", ["gateway", "consumers", "console", "reconciler"])
def test_the_endpoints_are_where_the_programs_look(program: str) -> None:
    pod = pods(FULL)[program]
    assert environment(pod)["SOURCES_FILE"] == "/etc/payment-webhooks/sources.toml"
    config = by_name(FULL, "ConfigMap")["sources"]
    assert config["data"]["sources.toml"] == EVERYTHING["sources"]["toml"]
    assert {"name": "sources", "configMap": {"name": config["metadata"]["name"]}} in pod["volumes"]
    assert "SOURCES_FILE" not in environment(pods(rendered(OPTIONAL))[program])


def test_a_changed_source_replaces_the_pods() -> None:
    def digest(toml: str) -> str:
        gateway = by_name(rendered({"sources": {"toml": toml}}), "Deployment")["gateway"]
        return str(gateway["spec"]["template"]["metadata"]["annotations"]["checksum/sources"])

    assert digest("[a]") != digest("[b]")


def test_a_pod_has_longer_to_stop_than_its_program_takes() -> None:
    pause_s = pods(DEFAULT)["gateway"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = default_of(GatewaySettings, "shutdown_timeout_s")
    assert pods(DEFAULT)["gateway"]["terminationGracePeriodSeconds"] == pause_s + drain_s + 10
    drain_s = default_of(ConsumersSettings, "drain_timeout_s")
    assert pods(DEFAULT)["consumers"]["terminationGracePeriodSeconds"] == drain_s + 10
    assert pods(FULL)["gateway"]["terminationGracePeriodSeconds"] == 5 + 30 + 10
    assert pods(FULL)["consumers"]["terminationGracePeriodSeconds"] == 46 + 10


def test_a_gateway_is_ready_before_another_one_stops() -> None:
    for objects in (DEFAULT, FULL):
        for name in ("gateway", "consumers"):
            deployment = by_name(objects, "Deployment")[name]
            assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize(
    ("program", "ready"), [("gateway", "/readyz"), ("consumers", "/readyz"), ("console", "/healthz")]
)
def test_each_program_is_asked_for_its_health(program: str, ready: str) -> None:
    (container,) = pods(FULL)[program]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == ready
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    port = ports[container["livenessProbe"]["httpGet"]["port"]]
    variable = {"gateway": "GATEWAY_OPERATORS_PORT", "consumers": "CONSUMERS_METRICS_PORT", "console": "CONSOLE_PORT"}
    assert environment(pods(FULL)[program])[variable[program]] == port


def test_the_ingress_leads_to_webhooks_only() -> None:
    (rule,) = by_name(FULL, "Ingress")[""]["spec"]["rules"]
    paths = {each["path"]: each["backend"]["service"] for each in rule["http"]["paths"]}
    assert set(paths) == {"/webhook", "/webhooks"}
    public = by_name(FULL, "Service")["gateway"]
    for service in paths.values():
        assert service == {"name": public["metadata"]["name"], "port": {"name": "public"}}
    assert [port["name"] for port in public["spec"]["ports"]] == ["public"]


def reachable(policy: dict[str, Any]) -> set[int]:
    return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} - {53}


def test_each_program_reaches_its_servers_and_nothing_else() -> None:
    policies = by_name(rendered(OPTIONAL), "NetworkPolicy")
    assert {name: reachable(policy) for name, policy in policies.items()} == {
        "gateway": {6379},
        "consumers": {6379, 5432},
        "console": {6379, 5432, "operators"},
        "reconciler": {6379, 5432, 443},
        "migrate": {5432},
    }
    assert reachable(by_name(FULL, "NetworkPolicy")["gateway"]) == {6380, 443, 4318}
    assert reachable(by_name(FULL, "NetworkPolicy")["consumers"]) == {6380, 5432, 443, 4318}


def test_only_what_asks_apis_reaches_them_and_where_they_are() -> None:
    for name in ("reconciler", "consumers"):
        rules = by_name(FULL, "NetworkPolicy")[name]["spec"]["egress"]
        (rule,) = [each for each in rules if each["ports"] == [{"protocol": "TCP", "port": 443}]]
        assert rule["to"] == [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    assert by_name(FULL, "NetworkPolicy")["reconciler"]["spec"]["ingress"] == []
    assert by_name(FULL, "Deployment")["reconciler"]["spec"]["replicas"] == 1
    assert by_name(FULL, "Deployment")["reconciler"]["spec"]["strategy"] == {"type": "Recreate"}
    assert "reconciler" not in by_name(DEFAULT, "Deployment")
    only_lists = {"secrets": {"apis": [{"name": "STRIPE_API_KEY", "existingSecret": "stripe", "key": "api"}]}}
    assert 443 not in reachable(by_name(rendered(only_lists), "NetworkPolicy")["consumers"])


def test_operators_ports_are_for_monitoring_and_the_console() -> None:
    for name, policy in by_name(FULL, "NetworkPolicy").items():
        for rule in policy["spec"]["ingress"]:
            if rule["ports"][0]["port"] == "operators":
                spaces = [peer["namespaceSelector"] for peer in rule["from"] if "namespaceSelector" in peer]
                assert spaces == [{"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}]
                assert len(rule["from"]) == (2 if name == "gateway" else 1)


def test_the_migration_is_done_before_anything_is_replaced_and_needs_nothing_of_the_chart() -> None:
    (job,) = by_name(FULL, "Job").values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in pod
    assert [volume for volume in pod["volumes"] if "emptyDir" not in volume] == []


def test_an_upgrade_can_replace_the_gateways_last() -> None:
    images = {name: pod["containers"][0]["image"].rpartition(":")[2] for name, pod in pods(FULL).items()}
    assert images == {
        "migrate": "0.3.1",
        "gateway": "0.3.0",
        "consumers": "0.3.1",
        "console": "0.3.1",
        "reconciler": "0.3.1",
    }


def test_who_scales_is_one_only() -> None:
    assert by_name(DEFAULT, "Deployment")["gateway"]["spec"]["replicas"] == 2
    assert "replicas" not in by_name(FULL, "Deployment")["gateway"]["spec"]
    assert "replicas" not in by_name(FULL, "Deployment")["consumers"]["spec"]


def test_keda_reads_the_length_of_the_stream_and_not_a_lag() -> None:
    keda = {"enabled": True, "trigger": "redis-streams", "redisAddress": "redis:6379", "redisAuthentication": "redis"}
    scaled = by_name(rendered({"consumers": {"keda": keda}, "settings": {"KEY_PREFIX": "shop"}}), "ScaledObject")
    (trigger,) = scaled["consumers"]["spec"]["triggers"]
    assert trigger["metadata"]["stream"] == Keys("shop").events
    assert trigger["metadata"]["streamLength"] == "5000"
    assert "consumerGroup" not in trigger["metadata"]
    assert trigger["authenticationRef"] == {"name": "redis"}


def test_prometheus_finds_both_ports_with_metrics() -> None:
    monitor = by_name(FULL, "ServiceMonitor")[""]["spec"]
    services = by_name(FULL, "Service")
    wanted = monitor["selector"]["matchLabels"].items()
    found = {name for name, each in services.items() if wanted <= each["metadata"]["labels"].items()}
    assert found == {"gateway-operators", "consumers-operators"}
    (endpoint,) = monitor["endpoints"]
    for name in found:
        assert endpoint["port"] in [port["name"] for port in services[name]["spec"]["ports"]]
