"""A real Prometheus that scrapes what a test runs: Debian's package `prometheus`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from stack.ports import HOST, free_port
from tests.support.child import Child, dying_with_parent
from tests.support.wait import until

PROMETHEUS = "prometheus"

START_S = 60.0
LOOK_S = 0.25
"""How often its alerts are looked at; it evaluates no more often."""

CONFIG = """
global: {{scrape_interval: {every}, evaluation_interval: {every}}}
rule_files: [{rules}]
scrape_configs:
  - job_name: payment-webhooks
    static_configs: [{{targets: [{targets}]}}]
"""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running one."""

    process: Child
    argv: Sequence[str]
    url: str

    def launch(self) -> None:
        """Start it, or start it again with what it has stored."""
        self.process.launch(dying_with_parent(list(self.argv)))

    async def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        url = f"{self.url}/api/v1/{path}"
        async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as answer:
            document = await answer.json()
        assert document["status"] == "success", document
        return document["data"]

    async def is_up(self) -> bool:
        """Whether it answers, and reaches all its targets."""
        try:
            targets = (await self.get("targets"))["activeTargets"]
        except (aiohttp.ClientError, AssertionError):
            return False
        return bool(targets) and all(each["health"] == "up" for each in targets)

    async def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = (await self.get("alerts"))["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    async def empty_queries(self, queries: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those that give no series, or one that is not a number."""
        empty = []
        for title, query in queries:
            result = (await self.get("query", query=query))["result"]
            if not result or all(each["value"][1] == "NaN" for each in result):
                empty.append((title, query))
        return empty


@asynccontextmanager
async def scraping(
    folder: Path, ports: Iterable[int], rules: Iterable[Path], every: str = "1s"
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that scrapes these ports and evaluates these rules, once it reaches all."""
    config = folder / "prometheus.yml"
    targets = ", ".join(f'"{HOST}:{port}"' for port in ports)
    config.write_text(CONFIG.format(every=every, rules=", ".join(map(str, rules)), targets=targets))
    port = free_port()
    argv = [
        PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={HOST}:{port}", "--log.level=warn",
    ]  # fmt: skip
    process = Child(PROMETHEUS, folder / "prometheus.log")
    prometheus = Prometheus(process, argv, f"http://{HOST}:{port}")
    prometheus.launch()
    try:
        await until(prometheus.is_up, timeout_s=START_S, what="Prometheus scrapes all", poll_s=LOOK_S)
        yield prometheus
    finally:
        process.kill()
        print(process.log)
