"""`make demo`: sends signed sample events, each twice and in any order, and shows what became of them."""

import asyncio
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby

import aiohttp
import asyncpg
from rich.table import Table

from sql import load
from stack import samples, show
from stack.base import StackError
from stack.samples import Outcome, Sample

DEMO = load("demo")

PAYMENTS = 100
SEED = 1

CONNECTIONS_MAX = 32
"""Senders at a time."""

ATTEMPTS_MAX = 5
"""How often one delivery is repeated when the gateway asks for it (429, 503)."""

REQUEST_TIMEOUT_S = 30
DRAIN_TIMEOUT_S = 60
"""How long the workers may take for what was sent."""

PAUSE_S = 0.1
AUDIT_TIMEOUT_S = 600

NEEDED = ("STRIPE_WEBHOOK_SECRET", "WEBHOOK_SECRET")


@dataclass(frozen=True, slots=True)
class Report:
    """What was sent and what became of it. `wrong` are payments that are not what their events say."""

    sent: int
    accepted: int
    duplicates: int
    refused: dict[int, int]
    rows: int
    dead: int
    seconds: float
    outcomes: list[Outcome]
    wrong: list[str]
    audit_passed: bool

    @property
    def passed(self) -> bool:
        """Whether everything is as it must be."""
        events = self.sent // 2
        as_told = self.accepted == self.duplicates == self.rows == events
        return as_told and self.audit_passed and not (self.dead or self.wrong or self.refused)


def run(environment: Mapping[str, str], as_json: bool) -> int:
    """The whole demonstration. Returns the exit code: 1 if something is not as it must be."""
    if missing := [name for name in NEEDED if not environment.get(name)]:
        raise StackError(
            f"the samples cannot be signed: {', '.join(missing)} is not set; `make up` writes them to .env"
        )
    report = asyncio.run(_demonstrate(environment))
    if as_json:
        show.as_json({**asdict(report), "passed": report.passed})
    else:
        _show(report)
    return 0 if report.passed else 1


async def _demonstrate(environment: Mapping[str, str]) -> Report:
    events, expected = samples.make(f"demo_{secrets.token_hex(4)}", PAYMENTS, SEED)
    began = time.monotonic()
    answers = await _send(samples.shuffled_twice(events, SEED), environment)
    connection = await asyncpg.connect(environment["DATABASE_URL"], timeout=REQUEST_TIMEOUT_S)
    try:
        applied, dead = await _drain(connection, [event.event_id for event in events])
        seconds = time.monotonic() - began
        rows = await connection.fetch(DEMO["demo_payments"], [outcome.payment_id for outcome in expected])
    finally:
        await connection.close()
    found = sorted(Outcome(**dict(row)) for row in rows)
    return Report(
        sent=answers.total(),
        accepted=answers.pop(202, 0),
        duplicates=answers.pop(200, 0),
        refused=dict(answers),
        rows=applied,
        dead=dead,
        seconds=round(seconds, 3),
        outcomes=found,
        wrong=sorted({outcome.payment_id for outcome in set(found) ^ set(expected)}),
        audit_passed=await asyncio.to_thread(_audit, environment),
    )


async def _send(deliveries: list[Sample], environment: Mapping[str, str]) -> Counter[int]:
    """Posts everything at once; gives how often each status was answered."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    gate = asyncio.Semaphore(CONNECTIONS_MAX)
    async with aiohttp.ClientSession(environment["GATEWAY_URL"], timeout=timeout, connector=connector) as session:

        async def deliver(sample: Sample) -> int:
            async with gate:
                return await _deliver(session, sample, environment)

        try:
            return Counter(await asyncio.gather(*map(deliver, deliveries)))
        except (aiohttp.ClientError, TimeoutError) as error:
            url = environment["GATEWAY_URL"]
            raise StackError(f"the gateway at {url} does not answer ({error!r}); `make status` shows more") from error


async def _deliver(session: aiohttp.ClientSession, sample: Sample, environment: Mapping[str, str]) -> int:
    """The final answer to one delivery, after doing what a provider does when it is asked to come again."""
    status = 0
    for _ in range(ATTEMPTS_MAX):
        headers = {"Content-Type": "application/json", **sample.headers(environment)}
        async with session.post(sample.path, data=sample.body, headers=headers) as answer:
            status = answer.status
            if status not in (429, 503):
                break
            await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
    return status


async def _drain(connection: asyncpg.Connection, event_ids: list[str]) -> tuple[int, int]:
    """Waits until every event is applied or dead, or the time is over; gives how many are which."""
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while True:
        row = await connection.fetchrow(DEMO["demo_progress"], event_ids)
        applied, dead = int(row["applied"]), int(row["dead"])
        if applied + dead >= len(event_ids) or time.monotonic() > deadline:
            return applied, dead
        await asyncio.sleep(PAUSE_S)


def _audit(environment: Mapping[str, str]) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "consumers", "audit"],
        env=dict(environment),
        capture_output=True,
        check=False,
        timeout=AUDIT_TIMEOUT_S,
    )
    return done.returncode == 0


def _show(report: Report) -> None:
    summary = Table("", "", "", box=None, pad_edge=False, show_header=False)
    summary.add_row("sent", f"{report.sent}", f"{report.sent // 2} events, each twice, shuffled, in {report.seconds} s")
    summary.add_row("accepted", f"{report.accepted}", "202: durable in the stream")
    summary.add_row("duplicates", f"{report.duplicates}", "200: known already")
    for status, count in sorted(report.refused.items()):
        summary.add_row("refused", f"{count}", f"{status}: the samples need `stripe` and `default` of sources.toml")
    summary.add_row("rows", f"{report.rows}", "events committed in PostgreSQL")
    summary.add_row("dead", f"{report.dead}", "`make dead` shows them" if report.dead else "")
    show.OUT.print(summary, "", _by_status(report.outcomes), "")
    if report.wrong:
        show.say(f"Not what their events say: {', '.join(report.wrong)}")
    show.say("The audit passes." if report.audit_passed else "The audit does NOT pass; `make audit` shows why.")
    show.say("Every payment is exactly what its events say." if report.passed else "Something is NOT as it must be.")


def _by_status(outcomes: list[Outcome]) -> Table:
    table = Table("status", "currency", box=None, pad_edge=False, header_style="bold")
    for column in ("payments", "captured", "refunded", "disputed"):
        table.add_column(column, justify="right")

    def key(outcome: Outcome) -> tuple[str, str]:
        return outcome.status, outcome.currency

    for (status, currency), group in groupby(sorted(outcomes, key=key), key):
        members = list(group)
        sums = (sum(getattr(one, name) for one in members) for name in ("captured", "refunded", "disputed"))
        table.add_row(status, currency, str(len(members)), *(samples.major_units(total, currency) for total in sums))
    return table
