"""`make demo`: payments told by signed events that come many times and in any order, while workers are killed."""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from stack import show
from stack.base import Stack, StackError
from stack.demo import check as verdict
from stack.demo import report as demo_report
from stack.demo.chaos import Killer, entries_taken_over, pool_of, second_gateway
from stack.demo.check import Source
from stack.demo.report import Report
from stack.demo.samples import Sample, Story, shuffled
from stack.demo.scenarios import stories

WORKERS_MIN = 4

WAVE_EVENTS = 500
WAVE_S = 1.0
"""So many deliveries at once, one such wave a second; during each of them a worker is killed."""

KILL_AFTER_S_MAX = 0.2
"""At some moment up to this one after a wave has begun: while it is being worked on."""

CONNECTIONS_MAX = 32
"""Senders at a time."""

ATTEMPTS_MAX = 5
"""How often one delivery is repeated when the gateway asks for it (429, 503)."""

REQUEST_TIMEOUT_S = 30
DRAIN_TIMEOUT_S = 120
"""How long the workers may take for what was sent; what a dead one had read is taken over after CLAIM_IDLE_MS."""

PAUSE_S = 0.1

NEEDED = ("STRIPE_WEBHOOK_SECRET", "WEBHOOK_SECRET")


@dataclass(frozen=True, slots=True)
class Cast:
    """All that a demonstration is made of. `environment` holds secrets."""

    stack: Stack
    environment: Mapping[str, str] = field(repr=False)
    sources: Mapping[str, Source]
    stories: Sequence[Story]
    times: int
    chance: random.Random
    say: Callable[[str], None]

    @property
    def events(self) -> list[Sample]:
        """All events of all stories."""
        return [event for story in self.stories for event in story.events]


def run(stack: Stack, *, as_json: bool, with_conflict: bool, times: int) -> int:
    """The whole demonstration, each event delivered so many times. The exit code: 1 if something is not as it must."""
    environment = stack.environment
    if missing := [name for name in NEEDED if not environment.get(name)]:
        raise StackError(
            f"the samples cannot be signed: {', '.join(missing)} is not set; `make up` writes them to .env"
        )
    chance = random.SystemRandom()
    cast = Cast(
        stack,
        environment,
        verdict.read_sources(Path(environment.get("SOURCES_FILE") or "sources.toml")),
        stories(f"demo_{secrets.token_hex(4)}", chance, with_conflict=with_conflict),
        times,
        chance,
        (lambda _: None) if as_json else show.say,
    )
    report = _demonstrate(cast)
    if as_json:
        show.as_json(report.as_json())
    else:
        demo_report.show_report(report)
    return 0 if report.passed else 1


def _demonstrate(cast: Cast) -> Report:
    stack, environment = cast.stack, cast.environment
    with pool_of(stack, WORKERS_MIN) as workers, second_gateway(environment) as second_url:
        gateways = [environment["GATEWAY_URL"], second_url]
        deliveries = shuffled(cast.events, cast.times, cast.chance)
        cast.say(f"Sending {len(deliveries):,} deliveries to {len(gateways)} gateways, in waves of {WAVE_EVENTS}; "
                 f"in each wave one of {workers} workers is killed.")  # fmt: skip
        taken_over_before = entries_taken_over(stack)
        killer = Killer(stack, cast.chance)
        began_s = time.monotonic()
        answers = asyncio.run(_send(cast, deliveries, gateways, killer))
        cast.say("Sent. What the dead had read is taken over once it is idle for CLAIM_IDLE_MS, usually 15 s.")
        committed, dead = asyncio.run(_drain(cast))
        seconds = time.monotonic() - began_s
        restarted = killer.wait_for_the_pool()
        taken_over = entries_taken_over(stack)
    return Report(
        payments=len(cast.stories),
        events=len(cast.events),
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
        books=asyncio.run(_read_books(cast)),
        audit=verdict.audit(environment),
        contradicted=sum(bool(story.contradicted) for story in cast.stories),
    )


async def _send(cast: Cast, deliveries: Sequence[Sample], gateways: Sequence[str], killer: Killer) -> Counter[int]:
    """Posts everything, wave by wave; gives how often each status was answered."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    gate = asyncio.Semaphore(CONNECTIONS_MAX)
    answers: Counter[int] = Counter()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:

        async def deliver(number: int, sample: Sample) -> int:
            async with gate:
                return await _deliver(session, gateways[number % len(gateways)] + sample.path, sample, cast.environment)

        for first in range(0, len(deliveries), WAVE_EVENTS):
            wave = [deliver(*each) for each in enumerate(deliveries[first : first + WAVE_EVENTS])]
            killing = killer.kill_one(cast.chance.uniform(0, KILL_AFTER_S_MAX))
            statuses, *_ = await asyncio.gather(asyncio.gather(*wave), killing, asyncio.sleep(WAVE_S))
            answers.update(statuses)
    return answers


async def _deliver(session: aiohttp.ClientSession, url: str, sample: Sample, secrets_: Mapping[str, str]) -> int:
    """The final answer to one delivery, after doing what a provider does when it is asked to come again."""
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


async def _drain(cast: Cast) -> tuple[int, int]:
    """Waits until every event is committed or dead, or the time is over; gives how many are which."""
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    namespaces = sorted({source.namespace for source in cast.sources.values()})
    event_ids = [event.event_id for event in cast.events]
    connection = await asyncpg.connect(cast.environment["DATABASE_URL"], timeout=REQUEST_TIMEOUT_S)
    try:
        while True:
            committed, dead = await verdict.progress(connection, namespaces, event_ids)
            if committed + dead >= len(event_ids) or time.monotonic() > deadline:
                return committed, dead
            await asyncio.sleep(PAUSE_S)
    finally:
        await connection.close()


async def _read_books(cast: Cast) -> verdict.Books:
    connection = await asyncpg.connect(cast.environment["DATABASE_URL"], timeout=REQUEST_TIMEOUT_S)
    try:
        return await verdict.read_books(connection, cast.stories, cast.sources)
    finally:
        await connection.close()
