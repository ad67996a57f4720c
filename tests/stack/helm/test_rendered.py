"""What Helm makes of the chart is valid for Kubernetes, with default values and with every flag."""

from typing import Any

import helm_python
import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support.chart import CHART, CUSTOM, EVERYTHING, VALUES, by_name, rendered

KUBERNETES = ["1.30", "1.37"]
"""The oldest that Chart.yaml allows, and the newest whose schemas there are."""

REDIS_STREAMS = {"consumers": {"keda": {"enabled": True, "trigger": "redis-streams", "redisAddress": "redis:6379"}}}
NOTHING = {
    "serviceAccount": {"create": False},
    "migrate": {"enabled": False},
    "gateway": {"preStopSleepSeconds": 0},
    "podDisruptionBudget": {"enabled": False},
    "topologySpread": {"enabled": False},
    "networkPolicy": {"enabled": False},
}
ALL_VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": EVERYTHING,
    "redis-streams": REDIS_STREAMS,
    "nothing": NOTHING,
    "own config map": {"sources": {"existingConfigMap": "endpoints"}},
}


def flags_of(values: dict[str, Any], path: str = "") -> dict[str, bool]:
    """Return every value that is true or false, by its path."""
    found: dict[str, bool] = {}
    for name, value in values.items():
        where = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict):
            found |= flags_of(value, where)
        elif isinstance(value, bool):
            found[where] = value
    return found


@pytest.mark.parametrize("values", ALL_VALUES.values(), ids=ALL_VALUES)
def test_helm_finds_nothing_wrong(values: dict[str, Any]) -> None:
    report = helm_python.lint(CHART, values, strict=True, kube_version="v1.37.0")
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", ALL_VALUES.values(), ids=ALL_VALUES)
def test_every_object_is_valid(values: dict[str, Any], kubernetes: str) -> None:
    objects = rendered(values)
    assert len(objects) >= 5
    for each in objects:
        if each["kind"] in CUSTOM:
            jsonschema.validate(each, CUSTOM[each["kind"]])
        else:
            kubernetes_validate.validate(each, kubernetes, strict=True)


def test_a_misspelt_field_is_noticed() -> None:
    (job,) = by_name(rendered(), "Job").values()
    job["spec"]["backofLimit"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="backofLimit"):
        kubernetes_validate.validate(job, "1.37", strict=True)


def test_every_flag_is_tried_both_ways() -> None:
    tried = [flags_of(values) for values in ALL_VALUES.values()]
    fixed = {"consumers.keda.redisTls"}
    for flag, default in flags_of(VALUES).items():
        assert flag in fixed or any(each.get(flag) is (not default) for each in tried), flag


def test_every_kind_is_made() -> None:
    kinds = {each["kind"] for each in rendered(EVERYTHING)}
    assert kinds == {
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy", "PodDisruptionBudget",
        "PrometheusRule", "ScaledObject", "Service", "ServiceAccount", "ServiceMonitor",
    }  # fmt: skip


@pytest.mark.parametrize("values", ALL_VALUES.values(), ids=ALL_VALUES)
def test_no_two_objects_have_one_name_and_all_have_the_recommended_labels(values: dict[str, Any]) -> None:
    objects = rendered(values, name="a-release-with-a-name-of-nearly-all-53-characters-oh")
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    assert [name for _, name in names if len(name) > 63] == []
    recommended = {"name", "instance", "component", "version", "part-of", "managed-by"}
    for each in objects:
        labels = each["metadata"]["labels"]
        assert {f"app.kubernetes.io/{name}" for name in recommended} <= set(labels)


@pytest.mark.parametrize("values", ALL_VALUES.values(), ids=ALL_VALUES)
def test_every_selector_finds_pods(values: dict[str, Any]) -> None:
    objects = rendered(values)
    workloads = [each for each in objects if each["kind"] in ("Deployment", "Job")]
    labels = [each["spec"]["template"]["metadata"]["labels"].items() for each in workloads]
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            wanted = spec["selector"]
        elif each["kind"] == "NetworkPolicy":
            wanted = spec["podSelector"]["matchLabels"]
        elif each["kind"] in ("Deployment", "PodDisruptionBudget"):
            wanted = spec["selector"]["matchLabels"]
        else:
            continue
        assert len([own for own in labels if wanted.items() <= own]) == 1, each["metadata"]["name"]


def test_the_rules_are_those_of_the_observability_profile() -> None:
    rules = by_name(rendered(EVERYTHING), "PrometheusRule")[""]
    groups = []
    for name in ("alerts.yml", "slo.yml"):
        source = CHART.parents[1] / "observability" / name
        assert (CHART / "files" / name).read_text() == source.read_text(), f"copy it: {name}"
        groups += yaml.safe_load(source.read_text())["groups"]
    assert rules["spec"]["groups"] == groups
