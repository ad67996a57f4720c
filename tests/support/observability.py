"""The files of stack/observability, read for their expressions, and what the real programs show."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import promql_parser
import yaml

from tests.support.processes import ROOT

FOLDER = ROOT / "stack" / "observability"
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARD = FOLDER / "grafana" / "payment-webhooks.json"
RULE_FILES = ("alerts.yml", "slo.yml")
RULE_TESTS = ("alerts_test.yml", "alerts_days_test.yml")

DASHBOARD_VARIABLES = {"$__rate_interval": "1m", "$source": ".*"}
"""What Grafana would put in; the interval is a little short, so that a test need not run for long."""

_OF_LIBRARIES = re.compile(r"process_|python_|.*_created$")
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric in /metrics: its type, its help, and the label names that its samples have there."""

    type: str
    help: str
    labels: frozenset[str]


def rules() -> list[dict[str, Any]]:
    """All rules of both files."""
    return [
        rule
        for name in RULE_FILES
        for group in yaml.safe_load((FOLDER / name).read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard that have queries."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """Yield each panel's title with each of its queries, as Grafana would send it."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in DASHBOARD_VARIABLES.items():
                query = query.replace(variable, value)
            yield panel["title"], query


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """Parse a query; return each metric that it names, with the labels that it selects by."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((str(node.name), {matcher.name for matcher in node.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def read_metrics(text: str) -> dict[str, Shown]:
    """Read /metrics, without what the library adds about itself and the process."""
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    samples = re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE)
    shown = {}
    for name, kind in types.items():
        if not _OF_LIBRARIES.match(name):
            own = {name + suffix for suffix in _SUFFIXES[kind]}
            labels = {label for sample, pairs in samples if sample in own for label in re.findall(r'(\w+)="', pairs)}
            shown[name] = Shown(kind, helps.get(name, ""), frozenset(labels - {"le"}))
    return shown


def series_names(shown: dict[str, Shown]) -> set[str]:
    """The names by which a query can select them."""
    return {name + suffix for name, metric in shown.items() for suffix in _SUFFIXES[metric.type]}


async def scrape(url: str) -> str:
    """The text of /metrics; "" while nobody answers."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
            return await answer.text() if answer.status == 200 else ""
    except aiohttp.ClientConnectionError:
        return ""
