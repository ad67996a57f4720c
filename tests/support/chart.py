"""The Helm chart, rendered by Helm's own library, and the shapes of objects that Kubernetes itself does not define."""

from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "stack" / "helm" / "payment-webhooks"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())

TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def _object(required: list[str], **properties: object) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _list(items: object) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _resource(spec: object) -> dict[str, Any]:
    return _object(["apiVersion", "kind", "metadata", "spec"], apiVersion=TEXT, kind=TEXT, metadata={}, spec=spec)


_RULE = _object(["expr"], alert=TEXT, record=TEXT, expr=TEXT, **{"for": TEXT}, labels=TEXTS, annotations=TEXTS)
_TRIGGER = _object(
    ["type", "metadata"],
    type={"enum": ["prometheus", "redis-streams"]},
    metadata=TEXTS,
    authenticationRef=_object(["name"], name=TEXT),
)
CUSTOM = {
    "ServiceMonitor": _resource(
        _object(
            ["selector", "endpoints"],
            selector=_object(["matchLabels"], matchLabels=TEXTS),
            endpoints=_list(_object(["port"], port=TEXT, path=TEXT, interval=TEXT)),
        )
    ),
    "PrometheusRule": _resource(
        _object(["groups"], groups=_list(_object(["name", "rules"], name=TEXT, interval=TEXT, rules=_list(_RULE))))
    ),
    "ScaledObject": _resource(
        _object(
            ["scaleTargetRef", "triggers"],
            scaleTargetRef=_object(["name"], name=TEXT),
            minReplicaCount={"type": "integer", "minimum": 1},
            maxReplicaCount={"type": "integer", "minimum": 1},
            triggers=_list(_TRIGGER),
        )
    ),
}
"""By kind; only the fields that the chart uses, as the operators' documentation has them."""

EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example/payments", "tag": "0.3.1"},
    "imagePullSecrets": [{"name": "registry"}],
    "secrets": {
        "providers": [{"name": "STRIPE_WEBHOOK_SECRET", "existingSecret": "stripe", "key": "signing"}],
        "apis": [
            {"name": "STRIPE_API_KEY", "existingSecret": "stripe", "key": "api"},
            {"name": "PAYPAL_CLIENT_SECRET", "existingSecret": "paypal", "key": "client", "confirm": True},
        ],
        "databaseReadUrl": {"existingSecret": "replica"},
        "notifyUrl": {"existingSecret": "notify"},
        "notifySecret": {"existingSecret": "notify"},
    },
    "settings": {
        "BACKLOG_LIMIT": 2_000_000,
        "DRAIN_TIMEOUT_S": 45.5,
        "EVENT_LOG": True,
        "HANDLERS": "shop_handlers:handlers",
        "KEY_PREFIX": "shop",
        "MIGRATE_WAIT_S": 90,
        "SHUTDOWN_TIMEOUT_S": 30,
    },
    "sources": {"toml": '[stripe]\nprovider = "stripe"\nsecrets = ["${STRIPE_WEBHOOK_SECRET}"]\n'},
    "serviceAccount": {"annotations": {"example.com/role": "payments"}},
    "gateway": {
        "imageTag": "0.3.0",
        "tls": {"existingSecret": "tls"},
        "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
        "podAnnotations": {"example.com/team": "payments"},
        "nodeSelector": {"pool": "front"},
        "tolerations": [{"key": "front", "operator": "Exists"}],
        "autoscaling": {"enabled": True},
    },
    "consumers": {
        "extraEnv": [{"name": "SHOP_URL", "value": "https://shop.example"}],
        "keda": {"enabled": True},
    },
    "console": {"enabled": True, "service": {"annotations": {"example.com/internal": "true"}}},
    "reconciler": {"enabled": True, "podAnnotations": {"example.com/team": "payments"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"example.com/body": "2m"},
        "host": "hooks.example",
        "tlsSecret": "hooks-tls",
    },
    "networkPolicy": {
        "ingressNamespace": "ingress-nginx",
        "consoleNamespace": "sign-in",
        "redis": {"port": 6380, "to": [{"ipBlock": {"cidr": "10.0.0.8/32"}}]},
        "gatewayHttps": True,
        "apis": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
        "extraEgress": {
            part: [{"ports": [{"protocol": "TCP", "port": 4318}]}]
            for part in ("gateway", "consumers", "console", "reconciler")
        },
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
}
"""Values with every flag on, and with something in every list."""


@cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def rendered(values: dict[str, Any] | None = None, name: str = "pay") -> list[dict[str, Any]]:
    """Return the objects that Helm would send to the cluster. Raises what Helm finds wrong with the values."""
    chart().validate_schema(values or {})
    texts = chart().render(values or {}, name=name, namespace="payments")
    objects = [each for path, text in texts.items() if path.endswith(".yaml") for each in yaml.safe_load_all(text)]
    return [each for each in objects if each]


def by_name(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the objects of this kind by what follows the release's name."""
    prefix = "pay-payment-webhooks"
    return {
        each["metadata"]["name"].removeprefix(prefix).removeprefix("-"): each
        for each in objects
        if each["kind"] == kind
    }


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the Pods' specs by program."""
    workloads = {**by_name(objects, "Deployment"), **by_name(objects, "Job")}
    return {name: each["spec"]["template"]["spec"] for name, each in workloads.items()}


def environment(pod: dict[str, Any]) -> dict[str, Any]:
    """Return each variable with its value, or with the Secret and key it comes from."""
    (container,) = pod["containers"]
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names)), "a variable twice"
    return {
        each["name"]: each["value"]
        if "value" in each
        else (each["valueFrom"]["secretKeyRef"]["name"], each["valueFrom"]["secretKeyRef"]["key"])
        for each in container["env"]
    }
