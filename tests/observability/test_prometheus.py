"""Rules and dashboard against a real Prometheus, which scrapes a real gateway and a real worker under load.

Run by `make test-observability`, which needs Debian's package prometheus.
"""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest_asyncio

from consumers.settings import Settings
from operations.audit import run_audit
from operations.servers import Servers
from stack.ports import free_port
from tests.support.fact_handlers import TABLE
from tests.support.gateway import payment
from tests.support.load import client
from tests.support.observability import FOLDER, RULE_FILES, RULE_TESTS, panel_queries, panels
from tests.support.operator_commands import HANDLERS
from tests.support.processes import Gateway, Programs
from tests.support.prometheus import Prometheus, scraping
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PROMTOOL = "promtool"

PATIENT_S = 90.0
"""Rates need some scrapes, and what waits for a person is counted every 15 s."""

EMPTY_WITHOUT_FAULTS = {
    "Failures of Redis and Postgres", "Duplicates and retries", "Not known to be complete",
    "Different from the provider's list", "Asked of providers' APIs", "Oldest to be confirmed",
    "From accepted to confirmed",
}  # fmt: skip
"""Panels that show nothing while nothing fails, or while no provider's API is asked."""

SINCE_NOBODY_AUDITED = {"WebhookWatchdog", "WebhookAuditOverdue"}

DEAD = """
INSERT INTO dead_letters (entry_id, reason, traceback, attempts, field_names, field_values)
VALUES ('1-1', 'r', '', 1, '{}', '{}')
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """A stack with a Prometheus that scrapes it, and what operators' commands need."""

    gateway: Gateway
    prometheus: Prometheus
    servers: Servers


def rules_without_delay(folder: Path) -> list[Path]:
    """Copy the rules without their `for`, so that a test sees within seconds what fires."""
    copies = []
    for name in RULE_FILES:
        copy = folder / name
        copy.write_text(re.sub(r"^        for: .*\n", "", (FOLDER / name).read_text(), flags=re.MULTILINE))
        copies.append(copy)
    return copies


@pytest_asyncio.fixture
async def observed(
    valkey: ValkeyServer, database_url: str, connection: asyncpg.Connection, key_prefix: str, programs: Programs,
    settings: Settings, tmp_path: Path,
) -> AsyncIterator[Observed]:  # fmt: skip
    await connection.execute(TABLE)
    gateway = await programs.gateway(valkey.url, key_prefix)
    workers_port = free_port()
    env = {"CONSUMERS_METRICS_PORT": str(workers_port), "HANDLERS": HANDLERS}
    (worker,) = await programs.consumers(valkey.url, database_url, key_prefix, env=env)
    async with scraping(tmp_path, [gateway.operators_port, workers_port], rules_without_delay(tmp_path)) as prometheus:
        yield Observed(gateway, prometheus, Servers(settings))
        assert worker.is_running, worker.log


async def send(url: str) -> None:
    """Send genuine events, each twice, and a forged one for every ten, until cancelled."""
    async with client() as session:
        number = 0
        while True:
            number += 1
            signed = payment(number)
            for _ in range(2):
                async with session.post(url + signed.path, data=signed.body, headers=signed.headers) as answer:
                    assert answer.status in (200, 202)
            if number % 10 == 0:
                async with session.post(url + signed.path, data=signed.body) as answer:
                    assert answer.status == 401


def test_the_rules_fire_and_clear_as_their_tests_say() -> None:
    for arguments in (["check", "rules", *RULE_FILES], ["test", "rules", *RULE_TESTS]):
        done = subprocess.run([PROMTOOL, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "FAILED" not in done.stdout


async def test_every_panel_shows_something_under_load(observed: Observed) -> None:
    sending = asyncio.create_task(send(observed.gateway.url))
    queries = [each for each in panel_queries() if each[0] not in EMPTY_WITHOUT_FAULTS]
    missing: set[str] = set()

    async def each_panel_shows_something() -> bool:
        assert not sending.done(), sending.exception()
        empty = await observed.prometheus.empty_queries(queries)
        shown = {title for title, query in queries if (title, query) not in empty}
        missing.clear()
        missing.update({panel["title"] for panel in panels()} - shown - EMPTY_WITHOUT_FAULTS)
        return not missing

    try:
        await until(each_panel_shows_something, timeout_s=PATIENT_S, what="each panel shows something")
    finally:
        print("empty panels:", missing)
        sending.cancel()
    for title, query in panel_queries():
        await observed.prometheus.get("query", query=query)  # raises for one that Prometheus refuses, by its title
        assert title


async def test_what_waits_for_a_person_rings_until_it_is_done(
    observed: Observed, connection: asyncpg.Connection
) -> None:
    prometheus = observed.prometheus

    async def fires(*names: str) -> bool:
        return await prometheus.firing() == set(names)

    await until(lambda: fires(*SINCE_NOBODY_AUDITED), timeout_s=PATIENT_S, what="only the missing audit rings")
    await connection.execute(DEAD)
    await until(
        lambda: fires(*SINCE_NOBODY_AUDITED, "WebhookDeadLettersOpen"), timeout_s=PATIENT_S, what="the pager rings"
    )
    await connection.execute("UPDATE dead_letters SET state = 'discarded'")
    report = await run_audit(observed.servers)
    found = {"WebhookAuditFoundErrors"} if report.findings else set()
    await until(lambda: fires("WebhookWatchdog", *found), timeout_s=PATIENT_S, what="it is done, and audited")
