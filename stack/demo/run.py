"""`make demo`: sends signed events many times and in random order, and kills workers meanwhile."""

import argparse
import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from stack import show
from stack.base import Stack, StackError
from stack.demo import check
from stack.demo import gaps as demo_gaps
from stack.demo import report as demo_report
from stack.demo.chaos import WorkerKiller, entries_taken_over, second_gateway, workers_at_least
from stack.demo.check import Source
from stack.demo.gaps import Found, Gaps
from stack.demo.report import Report
from stack.demo.samples import Sample, Scenario, shuffled
from stack.demo.scenarios import scenarios

WORKERS_MIN = 4

WAVE_EVENTS = 500
WAVE_S = 1.0
"""One wave of this many deliveries is sent each second. A worker is killed during each wave."""

KILL_AFTER_S_MAX = 0.2
"""The kill follows the start of a wave by up to this long, while the workers are busy with it."""

CONNECTIONS_MAX = 32
"""Concurrent senders."""

ATTEMPTS_MAX = 5
"""How often one delivery is sent while the gateway answers 429 or 503."""

REQUEST_TIMEOUT_S = 30
DRAIN_TIMEOUT_S = 120
"""How long the workers may take to commit everything. A dead worker's entries are taken over after CLAIM_IDLE_MS."""

PAUSE_S = 0.1

NEEDED = ("STRIPE_WEBHOOK_SECRET", "WEBHOOK_SECRET")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The parameters of one demonstration. `environment` holds secrets."""

    stack: Stack
    environment: Mapping[str, str] = field(repr=False)
    sources: Mapping[str, Source]
    scenarios: Sequence[Scenario]
    times: int
    chance: random.Random
    say: Callable[[str], None]
    gaps: Gaps | None = None

    @property
    def events(self) -> list[Sample]:
        """The events of all scenarios."""
        return [event for scenario in self.scenarios for event in scenario.events]

    @property
    def delivered(self) -> list[Sample]:
        """The events that are delivered."""
        return self.gaps.kept(self.events) if self.gaps else self.events


def run(stack: Stack, arguments: argparse.Namespace) -> int:
    """Run the demonstration as the arguments of `demo` say. Return the exit code: 1 if a check failed."""
    environment = stack.environment
    if missing := [name for name in NEEDED if not environment.get(name)]:
        raise StackError(
            f"the samples cannot be signed: {', '.join(missing)} is not set; `make up` writes them to .env"
        )
    chance = random.SystemRandom()
    at_s = demo_gaps.choose_time(chance) if arguments.gaps else None
    payments = scenarios(f"demo_{secrets.token_hex(4)}", chance, with_conflict=arguments.conflict, at_s=at_s)
    events = [event for payment in payments for event in payment.events]
    demo = Demonstration(
        stack,
        environment,
        check.read_sources(Path(environment.get("SOURCES_FILE") or "sources.toml")),
        payments,
        arguments.times,
        chance,
        (lambda _: None) if arguments.json else show.say,
        None if at_s is None else demo_gaps.choose_lost(events, at_s, chance),
    )
    report = _demonstrate(demo)
    if arguments.json:
        show.as_json(report.as_json())
    else:
        demo_report.show_report(report)
    return 0 if report.passed else 1


def _demonstrate(demo: Demonstration) -> Report:
    stack, environment = demo.stack, demo.environment
    with workers_at_least(stack, WORKERS_MIN) as workers, second_gateway(environment) as second_url:
        gateways = [environment["GATEWAY_URL"], second_url]
        deliveries = shuffled(demo.delivered, demo.times, demo.chance)
        demo.say(f"Sending {len(deliveries):,} deliveries to {len(gateways)} gateways, in waves of {WAVE_EVENTS}; "
                 f"in each wave one of {workers} workers is killed.")  # fmt: skip
        taken_over_before = entries_taken_over(stack)
        killer = WorkerKiller(stack, demo.chance)
        began_s = time.monotonic()
        answers = asyncio.run(_send(demo, deliveries, gateways, killer))
        demo.say("Sent. Entries of killed workers are taken over once they are idle for CLAIM_IDLE_MS, usually 15 s.")
        committed, dead = asyncio.run(_drain(demo, demo.delivered))
        seconds = time.monotonic() - began_s
        restarted = killer.wait_until_restarted()
        taken_over = entries_taken_over(stack)
        found = asyncio.run(_find_and_repair(demo, demo.gaps)) if demo.gaps else None
        if found:
            committed, dead = asyncio.run(_drain(demo, demo.events))
    return Report(
        payments=len(demo.scenarios),
        events=len(demo.events),
        sent=answers.total(),
        accepted=answers.pop(202, 0),
        duplicates=answers.pop(200, 0),
        refused=dict(answers),
        committed=committed,
        dead=dead,
        gateways=len(gateways),
        workers=workers,
        killed=len(killer.killed),
        restarted=restarted,
        taken_over=None if None in (taken_over, taken_over_before) else (taken_over or 0) - (taken_over_before or 0),
        seconds=round(seconds, 1),
        books=asyncio.run(_read_booked_state(demo)),
        audit=check.audit(environment),
        contradicted=sum(bool(scenario.conflicting_key) for scenario in demo.scenarios),
        gaps=found,
    )


async def _find_and_repair(demo: Demonstration, gaps: Gaps) -> Found:
    """Compare with the provider's list, show the gap, repair it, and compare again."""
    source = demo.sources[demo_gaps.SOURCE]
    async with demo_gaps.listing(gaps, source, demo.environment) as environment:
        before = await demo_gaps.compare(gaps, environment, repair=False)
        demo.say(f"`make reconcile` finds {before['missing']} events that Stripe lists and that never arrived.")
        shown = await demo_gaps.shown_missing(demo.environment)
        demo.say(f"`make status` shows {shown} missing of {demo_gaps.SOURCE}, and so does the console{_console(demo)}.")
        repaired = await demo_gaps.compare(gaps, environment, repair=True)
        demo.say(f"With REPAIR=1 it adds {repaired['repaired']} to the stream, as if they had been delivered.")
        await _drain(demo, demo.events)
        after = await demo_gaps.compare(gaps, environment, repair=False)
    return Found(len(gaps.lost), before["missing"], shown, repaired["repaired"], after["missing"])


async def _send(
    demo: Demonstration, deliveries: Sequence[Sample], gateways: Sequence[str], killer: WorkerKiller
) -> Counter[int]:
    """Send everything, wave by wave. Return how often each status was answered."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    gate = asyncio.Semaphore(CONNECTIONS_MAX)
    answers: Counter[int] = Counter()
    # Not verified, for the reason in stack/ready.py.
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=False)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:

        async def deliver(number: int, sample: Sample) -> int:
            async with gate:
                return await _deliver(session, gateways[number % len(gateways)] + sample.path, sample, demo.environment)

        for first in range(0, len(deliveries), WAVE_EVENTS):
            wave = [deliver(*each) for each in enumerate(deliveries[first : first + WAVE_EVENTS])]
            killing = killer.kill_one(demo.chance.uniform(0, KILL_AFTER_S_MAX))
            statuses, *_ = await asyncio.gather(asyncio.gather(*wave), killing, asyncio.sleep(WAVE_S))
            answers.update(statuses)
    return answers


async def _deliver(session: aiohttp.ClientSession, url: str, sample: Sample, secrets_: Mapping[str, str]) -> int:
    """Send one delivery, again after 429 and 503 as a provider does. Return the final status."""
    status = 0
    for _ in range(ATTEMPTS_MAX):
        headers = {"Content-Type": "application/json", **sample.headers(secrets_)}
        try:
            async with session.post(url, data=sample.body, headers=headers) as answer:
                status, retry_after_s = answer.status, float(answer.headers.get("Retry-After", 1))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StackError(f"no answer from {url} ({error!r}); `make status` shows more") from error
        if status not in (429, 503):
            break
        await asyncio.sleep(retry_after_s)
    return status


def _console(demo: Demonstration) -> str:
    """Return where the console shows it; '' without a console."""
    url = demo.environment.get("CONSOLE_URL")
    return f", {url}/reconciliation" if url else ""


async def _drain(demo: Demonstration, events: Sequence[Sample]) -> tuple[int, int]:
    """Wait, up to DRAIN_TIMEOUT_S, until each of the events is committed or dead. Return the number of each."""
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    namespaces = sorted({source.namespace for source in demo.sources.values()})
    event_ids = [event.event_id for event in events]
    async with check.reading(demo.environment) as connection:
        while True:
            committed, dead = await check.progress(connection, namespaces, event_ids)
            if committed + dead >= len(event_ids) or time.monotonic() > deadline:
                return committed, dead
            await asyncio.sleep(PAUSE_S)


async def _read_booked_state(demo: Demonstration) -> check.BookedState:
    async with check.reading(demo.environment) as connection:
        return await check.read_booked_state(connection, demo.scenarios, demo.sources)
