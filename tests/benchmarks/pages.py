"""Every page of the console on a long history, by the real program: with the usual questions and the worst ones.

Each page is asked for once, which is named apart because nothing is in memory yet, and then `TIMES` times more. The
slowest of these may take 300 ms, unless the page says that it left something out, which is noted. `half` and `first`
are milliseconds.
"""

import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import aiohttp
from redis.asyncio import Redis

from contract.keys import GROUP
from stack.ports import HOST, free_port
from tests.benchmarks.consumers import fill
from tests.benchmarks.events import stream_events
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import KEYS, PREFIX, Harness, Options
from tests.benchmarks.history import PASSWORD, READ_ONLY, Shape, Subjects, find_subjects, make_history
from tests.benchmarks.load import load
from tests.support.child import Child
from tests.support.console import BROWSER, PASSWORDS, accounts
from tests.support.database import as_worker
from tests.support.processes import READY_TIMEOUT_S, Programs
from tests.support.servers import PostgresServer, ValkeyServer, as_user
from tests.support.wait import until

TARGET_MS = 300.0
TIMES = 9
"""Requests after the first one."""

ANSWER_TIMEOUT_S = 90.0
WAITING = 20_000
PENDING = 1_000
"""Entries in the stream, and those of them that a worker has read."""

_LEFT_OUT = re.compile(
    r"[^.>]*(?:left out here|was not searched yet|are left out\b(?! of)|are shown|was added up|may be missing|"
    r"were searched|no time to search|not shown)[^<]*"
)
"""How pages say what they left out."""


@dataclass(slots=True)
class Timed:
    """The answers to one address: the first one's time, the others', and the sentence about what was left out."""

    first_ms: float = 0.0
    ms: list[float] = field(default_factory=list)
    status: int = 0
    left_out: str = ""


async def run(options: Options) -> list[Figure]:
    """Fill the history, start the console, sign in, and ask for each page."""
    with kept_folder(options.folder) as folder:
        async with servers(folder, READ_ONLY) as on:
            url = await make_history(on.postgres, Shape(options.rows))
            await _fill_stream(on)
            gateway = await on.gateway()
            console, address = await start_console(on, url, gateway.operators_url)
            async with signed_in(address) as session:
                pages = list_pages(await find_subjects(url))
                timed = {name: await _time(session, address + path) for name, path in pages.items()}
            console.stop()
    return [_figure(name, each, options.rows) for name, each in timed.items()]


def list_pages(of: Subjects) -> Mapping[str, str]:
    """Return the addresses by what they show."""
    by_query = {
        "events": "",
        "events, one source": "source:paypal",
        "events, type and source": "type:charge.* source:adyen",
        "events, a payment": f"payment:{of.payment_id}",
        "events, a payment of 10,000": "payment:pi_large",
        "events, an event": f"event:{of.event_id}",
        "events, an id that does not exist": "pi_does_not_exist",
        "events, a source that does not exist": "source:nobody",
        "events, a type that does not exist": "type:nothing.*",
        "events, a day two months ago": "since:61d until:60d",
        "events, a source's day two months ago": "since:61d until:60d source:adyen type:charge.refunded",
        "events, status:dead": "status:dead",
        "events, status:dead, one reason": 'status:dead reason:"timed out"',
        "events, a reason that does not exist": 'reason:"no such reason"',
        "events, closed, a reason that does not exist": 'status:replayed reason:"no such reason"',
        "events, status:duplicate": "status:duplicate",
        "events, status:held": "status:held",
        "events, status:conflict": "status:conflict",
        "events, status:other_mode": "status:other_mode",
        "events, all statuses": " ".join(f"status:{each}" for each in ("waiting", "applied", "dead", "held", "conflict",
                                                                         "other_mode", "duplicate", "replayed")),
    }  # fmt: skip
    group = {"group": "the shop timed out for order …", "source": "stripe"}
    return {
        "overview": "/",
        "overview, its numbers": "/overview.json",
        **{name: f"/events?{urlencode({'query': query})}" for name, query in by_query.items()},
        "tail": "/events/tail",
        "event in the middle of history": f"/events/stripe/{of.event_id}",
        "event in conflict": f"/events/{of.conflict_namespace}/{of.conflict_event}",
        "event, a dead letter": f"/events/stripe/{of.dead_event}",
        "event that does not exist": "/events/stripe/evt_does_not_exist",
        "event, its body": f"/bodies/stripe/{of.event_id}",
        "payment": f"/payments/stripe/{of.payment_id}",
        "payment with 10,000 transfers": f"/payments/{of.large_namespace}/pi_large",
        "payment in conflict": f"/payments/{of.conflict_namespace}/{of.conflict_payment}",
        "payment that does not exist": "/payments/stripe/pi_does_not_exist",
        "pending": "/pending",
        "pending, one consumer": "/pending?owner=worker-1",
        "dead letters by reason": "/dead",
        "dead letters, a list": "/dead?all=1",
        "dead letters, a group": f"/dead?{urlencode(group)}",
        "dead letters, a group that does not exist": "/dead?group=nothing&source=stripe",
        "dead letter": f"/dead/{of.dead_letter}",
        "dead letter that does not exist": "/dead/999999999",
        "conflicts": "/conflicts",
        "conflicts, the last": f"/conflicts?after={of.large_conflict - 1}",
        "conflict, both decisions": f"/conflicts/{of.conflict}",
        "conflict of a payment of 10,000": f"/conflicts/{of.large_conflict}",
        "balances": "/balances",
        "balances of a namespace": "/balances?namespace=stripe",
        "balances of a namespace, asked for": "/balances?namespace=stripe&add=1",
        "sources": "/sources",
        "workers": "/workers",
        "log": "/operations",
        "log, one actor's rare act": "/operations?actor=ada",
        "log, an actor that does not exist": "/operations?actor=nobody",
        "audit": "/audit",
    }


@asynccontextmanager
async def servers(folder: Path, postgres_options: Mapping[str, str]) -> AsyncIterator[Harness]:
    """Start both servers on what the folder has from an earlier run; stop them cleanly at the end."""
    valkey = ValkeyServer(folder / "valkey")
    postgres = PostgresServer(folder / "postgres", postgres_options, password=PASSWORD)
    try:
        with Programs(folder / "programs", shows_logs=False) as programs:
            valkey.start()
            postgres.start()
            async with load() as loading, Redis.from_url(valkey.url, protocol=2) as redis:
                await redis.flushdb()
                yield Harness(valkey, postgres, programs, redis, loading)
    finally:
        postgres.stop()
        valkey.kill()


async def _fill_stream(on: Harness) -> None:
    await fill(on, list(stream_events(0, WAITING)))
    await on.redis.xgroup_create(KEYS.events, GROUP, "0")
    await on.redis.xreadgroup(GROUP, "worker-1", {KEYS.events: ">"}, PENDING)


async def start_console(on: Harness, database_url: str, operators_url: str) -> tuple[Child, str]:
    """Start the console's program. Return it with its address, once it answers."""
    port = free_port()
    sources = next(on.programs.folder.glob("gateway-*.toml"))
    console = on.programs.start(
        "operations",
        {
            "REDIS_URL": as_user("workers", on.valkey.url),
            "DATABASE_URL": as_worker(database_url),
            "KEY_PREFIX": PREFIX,
            "SOURCES_FILE": str(sources),
            "CONSOLE_HOST": HOST,
            "CONSOLE_PORT": str(port),
            "CONSOLE_PASSWORD_HASH": accounts().get_secret_value(),
            "GATEWAY_OPERATORS_URL": operators_url,
        },
        ("console",),
    )
    address = f"http://{HOST}:{port}"

    async def answers() -> bool:
        assert console.is_running, f"the console ended while it started:\n{console.log}"
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"{address}/healthz") as answer:
                return answer.status == 200
        return False

    await until(answers, timeout_s=READY_TIMEOUT_S, what="the console answers")
    return console, address


@asynccontextmanager
async def signed_in(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield the client of a person with all roles."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    jar = aiohttp.CookieJar(unsafe=True)  # of an address
    async with aiohttp.ClientSession(headers=BROWSER, timeout=timeout, cookie_jar=jar) as session:
        form = {"name": "mona", "password": PASSWORDS["mona"]}
        async with session.post(f"{address}/sign-in", data=form, allow_redirects=False) as answer:
            assert answer.status == 303, f"the console does not let us in: {answer.status}"
        yield session


async def _time(session: aiohttp.ClientSession, url: str) -> Timed:
    timed = Timed()
    for number in range(TIMES + 1):
        began_s = time.perf_counter()
        async with session.get(url) as answer:
            text = await answer.text()
        took_ms = (time.perf_counter() - began_s) * 1000
        timed.status = answer.status
        if number:
            timed.ms.append(took_ms)
        else:
            timed.first_ms = took_ms
        if found := _LEFT_OUT.search(text):
            timed.left_out = " ".join(found[0].split())
    sys.stderr.write(f"  {median(timed.ms):6.0f} {max(timed.ms):6.0f} {timed.first_ms:6.0f} {timed.status} {url}\n")
    return timed


def _figure(name: str, timed: Timed, rows: int) -> Figure:
    what = f"{name} (half {median(timed.ms):.0f}, first {timed.first_ms:.0f})"
    if timed.status not in (200, 404):
        what += f" status {timed.status}"
    if timed.left_out:
        what += " leaves out"
    target = None if timed.left_out and timed.status == 200 else TARGET_MS
    return Figure(f"{rows:,} events", what, max(timed.ms), "ms", target=target, at_most=True)


@contextmanager
def kept_folder(kept: Path | None) -> Iterator[Path]:
    """A folder of its own, or the one that is kept for later runs."""
    if kept is not None:
        yield kept.absolute()
        return
    with TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)
