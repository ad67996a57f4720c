"""What asking costs: events that no signature proves, while an API answers in 50 ms; and events of another source.

What asking adds is compared with one question, as the worker's own client sees it: once beyond another source's events
of the same worker at the same time, and once beyond the same source's while their signature proves them. The second has
in it what the work of asking costs all events. Half of the events are asked about. Times are those of the commits.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from aiohttp import web

from sql.connect import connect
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import KEYS, PREFIX, Harness, Options, harness
from tests.support.database import CONNECT_TIMEOUT_S, as_worker, fresh_database
from tests.support.events import contract_event, stripe_event
from tests.support.servers import as_user
from tests.support.stand_ins.objects import KEY, Objects
from tests.support.stream_states import Stream
from tests.support.wait import until

RATE_PER_S = 200
ROUND_TRIP_S = 0.05

P50_MS = """
    SELECT 1000 * percentile_cont(0.5) WITHIN GROUP (
        ORDER BY extract(epoch FROM pg_xact_commit_timestamp(transfers.xmin) - received_at)
    )
    FROM transfers JOIN events USING (namespace, event_id) WHERE source = $1
"""


class Slow(Objects):
    """Knows every payment intent, and takes its time."""

    async def _show(self, request: web.Request) -> web.Response:
        self.requests.clear()
        await _pass(ROUND_TRIP_S)
        intent = stripe_event("evt", request.path.rpartition("/")[2])["data"]["object"]
        return web.json_response(intent)


async def _pass(wait_s: float) -> None:
    """Let time pass: it is what is measured."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=max(0.0, wait_s))


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians, in milliseconds: from received to committed, of both sources; and of a question. None where none is."""

    stripe_ms: float
    other_ms: float
    question_ms: float | None


async def run(options: Options) -> list[Figure]:
    """Measure both sides: the same events, proven by their signature, and asked about; half of them of each source."""
    events = int(options.seconds * RATE_PER_S)
    async with harness({"track_commit_timestamp": "on"}) as system, Slow().serving() as api:
        before = await _measure(system, api, events, "body")
        asked = await _measure(system, api, events, "weak")
    return [
        _added("another source's meanwhile", asked, asked.other_ms),
        _added("its own without asking", asked, before.stripe_ms),
        Figure("confirm", "p50 received → committed, of another source meanwhile", asked.other_ms, "ms",
               before.other_ms, "nothing is asked"),
    ]  # fmt: skip


def _added(what: str, asked: Measured, without_ms: float) -> Figure:
    """Compare what asking adds to an event with one question: the target is no more than that."""
    added_ms = asked.stripe_ms - without_ms
    return Figure("confirm", f"p50 added by asking, beyond {what}", added_ms, "ms", asked.question_ms,
                  f"a question of {1000 * ROUND_TRIP_S:.0f} ms, as seen", target=1.0, at_most=True)  # fmt: skip


async def _measure(system: Harness, api: Slow, events: int, signed: str) -> Measured:
    sources = system.programs.folder / f"sources-{signed}.toml"
    questions = system.programs.folder / f"questions-{signed}.json"
    access = f'confirm = "api"\napi_key = "{KEY}"\napi_url = "{api.url}"\n'
    sources.write_text(f'[stripe]\nprovider = "stripe"\n{access}[other]\nprovider = "stripe"\n')
    await system.redis.flushall()
    async with fresh_database(system.postgres) as url, connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        env = {
            "REDIS_URL": as_user("workers", system.valkey.url), "DATABASE_URL": as_worker(url), "KEY_PREFIX": PREFIX,
            "CONSUMERS_METRICS_PORT": "0", "SOURCES_FILE": str(sources), "CONFIRM_PER_S": "1000",
            "CONFIRM_CONCURRENT": "64",
        }  # fmt: skip
        worker = system.programs.start("tests.benchmarks.asking_worker", env, (str(questions),))
        await until(lambda: system.redis.exists(KEYS.slot(1)), what="the worker works")
        await _publish(system, events, signed)

        async def all_are_booked() -> bool:
            return bool(await connection.fetchval("SELECT count(*) = $1 FROM transfers", events))

        await until(all_are_booked, timeout_s=120, what="all are booked")
        stripe_ms, other_ms = [float(await connection.fetchval(P50_MS, source)) for source in ("stripe", "other")]
        await worker.stopped()
    took_s = json.loads(questions.read_text())
    return Measured(stripe_ms, other_ms, 1000 * median(took_s) if took_s else None)


async def _publish(system: Harness, events: int, signed: str) -> None:
    """Publish at the rate, every second event of the source that may be asked about."""
    stream, loop = Stream(system.redis, KEYS), asyncio.get_running_loop()
    began_s = loop.time()
    for number in range(events):
        await _pass(began_s + number / RATE_PER_S - loop.time())
        source = "stripe" if number % 2 else "other"
        id_ = f"{source}{number}"
        body = json.dumps(stripe_event(id_, f"pi_{id_}")).encode()
        proof = signed if source == "stripe" else "body"
        await stream.publish(
            contract_event(id_, f"pi_{id_}", source=source, namespace=source, signed=proof, body=body,
                           received_at=datetime.now(UTC))
        )  # fmt: skip
