"""Rules, pages and dashboard name only what is there: metrics of the real programs, pages of real alerts."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from stack.ports import HOST, free_port
from tests.support.gateway import payment
from tests.support.load import client
from tests.support.observability import (
    DASHBOARD,
    FOLDER,
    RULE_FILES,
    RULE_TESTS,
    RUNBOOKS,
    Shown,
    alerts,
    panel_queries,
    panels,
    read_metrics,
    rules,
    scrape,
    selectors,
    series_names,
)
from tests.support.processes import ROOT, Programs
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PAGE = ROOT / "docs" / "observability.md"
ROW = re.compile(r"^\| `(webhook_\w+)` \| (\w+) \| ([\w, -]+) \| (.+) \|$", re.MULTILINE)
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
QUERIES = [*((rule.get("alert", rule.get("record")), rule["expr"]) for rule in rules()), *panel_queries()]
OTHER_NAMES = {"ALERTS"}

ZERO_FROM_THE_START = (
    'webhook_gateway_requests_total{source="stripe",status="429"}',
    'webhook_gateway_request_duration_seconds_count{source="stripe",status_class="5xx"}',
    'webhook_consumer_events_dead_total{source="stripe"}',
    'webhook_consumer_events_dead_total{source="unreadable"}',
)
"""A rate does not see what a series begins with: without the zero, a first burst between two scrapes rings nothing."""


@pytest_asyncio.fixture
async def shown(
    valkey: ValkeyServer, database_url: str, key_prefix: str, programs: Programs
) -> tuple[dict[str, Shown], str]:
    """The metrics of a real gateway and a real worker that have applied one event, and their text."""
    gateway = await programs.gateway(valkey.url, key_prefix)
    port = free_port()
    env = {"CONSUMERS_METRICS_PORT": str(port), "SOURCES_FILE": str(programs.folder / f"{gateway.name}.toml")}
    await programs.consumers(valkey.url, database_url, key_prefix, env=env)
    async with client() as session:
        signed = payment()
        async with session.post(gateway.url + signed.path, data=signed.body, headers=signed.headers) as answer:
            assert answer.status == 202
    applied = 'webhook_consumer_events_applied_total{source="default"} 1.0'

    async def of_worker() -> str:
        text = await scrape(f"http://{HOST}:{port}")
        return text if applied in text and "webhook_consumer_postgres_up 1.0" in text else ""

    text = await scrape(gateway.operators_url) + await until(of_worker, what="the event is counted")
    return read_metrics(text), text


async def test_every_metric_is_named_as_prometheus_asks_and_every_query_names_real_ones(
    shown: tuple[dict[str, Shown], str],
) -> None:
    metrics, text = shown
    assert lint(metrics) == []
    if promtool := shutil.which("promtool"):
        checked = await asyncio.to_thread(check_metrics, promtool, text)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    known = series_names(metrics) | RECORDED | OTHER_NAMES
    assert [(where, name) for where, query in QUERIES for name, _ in selectors(query) if name not in known] == []
    page = PAGE.read_text()
    documented = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels, _ in ROW.findall(page)}
    assert {name: kind for name, (kind, _) in documented.items()} == {name: each.type for name, each in metrics.items()}
    for name, each in metrics.items():
        assert each.labels <= documented[name][1], name
        assert each.help.rstrip(".") in page, f"docs/observability.md says of {name} what its help says"
    for zero in ZERO_FROM_THE_START:
        assert f"{zero} 0.0" in text.splitlines()


def check_metrics(promtool: str, text: str) -> subprocess.CompletedProcess[str]:
    arguments = [promtool, "check", "metrics"]
    return subprocess.run(arguments, input=text, text=True, capture_output=True, check=False)


def lint(metrics: dict[str, Shown]) -> list[str]:
    """What `promtool check metrics` would find, of what matters here."""
    found = []
    for name, metric in metrics.items():
        wrong = {
            "has no help": not metric.help,
            "a counter ends in _total": (metric.type == "counter") != name.endswith("_total"),
            "ends as a part of a histogram": name.endswith(("_bucket", "_count", "_sum", "_info_total")),
            "is not in snake case": re.fullmatch(r"[a-z][a-z0-9_]*", name) is None or "__" in name,
            "has a unit that is not a base unit": re.search(
                r"_(ms|milliseconds|us|ns|minutes|hours|days|kib|mib|kilobytes|percent|sec|secs)(_|$)", name
            ),
            "names its own type": re.search(r"_(counter|gauge|histogram|summary)(_|$)", name),
            "has a reserved label": metric.labels & {"quantile", "job", "instance"},
        }
        found += [f"{name} {why}" for why, is_wrong in wrong.items() if is_wrong]
    return found


def test_the_rules_of_names_find_each_mistake() -> None:
    wrong = {
        "a": Shown("counter", "x", frozenset()),
        "b_total": Shown("gauge", "x", frozenset()),
        "c_ms": Shown("gauge", "x", frozenset()),
        "d_count": Shown("gauge", "x", frozenset()),
        "eF": Shown("gauge", "x", frozenset()),
        "f": Shown("gauge", "", frozenset()),
        "g": Shown("gauge", "x", frozenset({"job"})),
        "h_gauge": Shown("gauge", "x", frozenset()),
    }
    assert {line.split()[0] for line in lint(wrong)} == set(wrong)
    assert lint({"ok_seconds": Shown("gauge", "x", frozenset({"source"}))}) == []


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[f"{number}" for number, _ in enumerate(QUERIES)])
def test_labels_in_queries_are_documented(where: str, query: str) -> None:
    labels = {name: set(re.findall(r"\w+", found)) for name, _, found, _ in ROW.findall(PAGE.read_text())}
    for name, selected in selectors(query):
        base = re.sub(r"_(bucket|count|sum)$", "", name) if name not in labels else name
        assert selected <= labels.get(base, set()) | {"le"}, (where, name)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts())
    for name, rule in alerts().items():
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
        text = (RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["What it means", "What to look at", "What to do"]
        assert f"runbooks/{name}.md" in PAGE.read_text()


def test_pages_name_targets_that_exist_and_links_lead_somewhere() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in (*RUNBOOKS.glob("*.md"), PAGE):
        text = page.read_text()
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, page.name
        for link in re.findall(r"\]\((?!https:)([^)#]+)", text):
            assert (page.parent / link).exists(), (page.name, link)


def test_every_alert_is_seen_to_fire_and_to_clear() -> None:
    files = [yaml.safe_load((FOLDER / name).read_text()) for name in RULE_TESTS]
    assert all(file["rule_files"] == list(RULE_FILES) for file in files)
    seen = {
        (case["name"], sample["value"])
        for file in files
        for case in file["tests"]
        for check in case["promql_expr_test"]
        for sample in check["exp_samples"]
        if f'alertname="{case["name"]}", alertstate="firing"' in check["expr"]
    }
    always = {("WebhookWatchdog", 0)}
    assert seen | always == {(name, value) for name in alerts() for value in (0, 1)}


def test_the_dashboard_can_be_imported_anywhere() -> None:
    text = DASHBOARD.read_text()
    assert '"uid": "payment-webhooks"' in text
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))


def test_compose_mounts_files_that_exist_and_publishes_on_loopback_only() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    observing = {name: each for name, each in services.items() if each.get("profiles") == ["observability"]}
    assert set(observing) == {"prometheus", "alertmanager", "grafana", "jaeger"}
    for each in observing.values():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/]+:v?\d+\.\d+\.\d+\}", each["image"])
        assert all(port.startswith(f"{HOST}:") for port in each["ports"])
        for volume in each.get("volumes", []):
            source, target = volume.split(":")[:2]
            assert not source.startswith("./") or (ROOT / source).is_file()
            assert Path(target).is_absolute()
