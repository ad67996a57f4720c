"""What comparing with a provider's list costs: 100,000 listed events, all of which arrived but a few.

The list is answered by another process, page by page, as fast as it can; the comparison's memory is that of its process
at its peak, of which a part is Python and what it imports.
"""

import asyncio
import base64
import json
import sys
from datetime import UTC, datetime, timedelta

from aiohttp import web

from sql.connect import connect
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import PREFIX, Harness, Options, harness
from tests.support.database import CONNECT_TIMEOUT_S, as_worker, fresh_database
from tests.support.events import stripe_event
from tests.support.servers import as_user
from tests.support.stand_ins.listing import API_KEY
from tests.support.stand_ins.stand_in import StandIn

LISTED = 100_000
PAGE = 100
MISSING = 100
"""One of each thousand never arrived."""

METADATA = {f"key_{number}": "x" * 40 for number in range(25)}
"""Makes a body of about 2 KiB, as of a real event."""

SECONDS_TARGET = 60.0
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)

FILL = """
    INSERT INTO events (
        namespace, event_id, source, provider, entry_id, type, resource, signed, occurred_at, received_at, committed_at
    )
    SELECT 'stripe', event_id, 'stripe', 'stripe', place || '-0', 'payment_intent.succeeded', 'pi_' || place, 'body',
        occurred_at, occurred_at, occurred_at
    FROM unnest($1::text[], $2::integer[], $3::timestamptz[]) AS filled (event_id, place, occurred_at)
"""
FILL_PAYLOADS = """
    INSERT INTO payloads (namespace, event_id, received_at, headers, body)
    SELECT 'stripe', event_id, received_at, '{}', body
    FROM unnest($1::text[], $2::timestamptz[], $3::bytea[]) AS filled (event_id, received_at, body)
"""


class Pages(StandIn):
    """Answers with items that were written before."""

    def __init__(self) -> None:
        super().__init__()
        self._items = [_item(place) for place in range(LISTED)]
        self.app.router.add_get("/events", self._page)

    async def _page(self, request: web.Request) -> web.Response:
        self.requests.clear()
        first, end = (_place(datetime.fromisoformat(request.query[name])) for name in ("since", "until"))
        after = request.query.get("after")
        first = int(after.removeprefix("evt_")) + 1 if after else first
        page, more = self._items[first : min(first + PAGE, end)], first + PAGE < end
        body = b'{"data": [%s], "more": %s}' % (b",".join(page), b"true" if more else b"false")
        return web.Response(body=body, content_type="application/json")

    def refusal(self, request: web.Request) -> None:
        """Accept everybody."""


def _place(time: datetime) -> int:
    """Return the place of the first event that is not before a time."""
    return min(LISTED, max(0, -((BEGAN - time) // timedelta(milliseconds=500))))


def _item(place: int) -> bytes:
    item: dict[str, object] = {
        "id": f"evt_{place}", "type": "payment_intent.succeeded", "resource": f"pi_{place}",
        "time": time_of(place).isoformat(), "mode": None, "account": "", "headers": {}, "aliases": [],
        "body": base64.b64encode(body_of(place)).decode(),
    }  # fmt: skip
    return json.dumps(item).encode()


def body_of(place: int) -> bytes:
    event = stripe_event(f"evt_{place}", f"pi_{place}", created=int(time_of(place).timestamp()))
    return json.dumps(event | {"metadata": METADATA}).encode()


def time_of(place: int) -> datetime:
    return BEGAN + timedelta(milliseconds=500 * place)


async def run(_options: Options) -> list[Figure]:
    """Compare once, whatever the options say."""
    async with harness() as on, fresh_database(on.postgres) as url, Pages().serving() as pages:
        await _fill(url)
        return await _compared(on, url, pages.url)


async def _fill(url: str) -> None:
    async with connect(url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        for first in range(0, LISTED, 1000):
            places = [place for place in range(first, first + 1000) if place % (LISTED // MISSING)]
            ids, times = [f"evt_{place}" for place in places], [time_of(place) for place in places]
            await connection.execute(FILL, ids, places, times)
            await connection.execute(FILL_PAYLOADS, ids, times, [body_of(place) for place in places])
        await connection.execute("VACUUM ANALYZE")


async def _compared(on: Harness, url: str, pages_url: str) -> list[Figure]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.reconcile_once", as_user("workers", on.valkey.url), as_worker(url),
        PREFIX, pages_url, API_KEY, BEGAN.isoformat(), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await program.communicate()
    found = json.loads(output)
    if (found["listed"], found["missing"]) != (LISTED, MISSING):
        raise RuntimeError(f"not what was listed: {found}")
    group = f"{LISTED:,} listed events compared, {MISSING} missing"
    return [
        Figure(group, "seconds", found["seconds"], "s", target=SECONDS_TARGET, at_most=True),
        Figure(group, "events per second", LISTED / found["seconds"], "/s"),
        Figure(group, "processor time of it, with the start of Python", found["cpu_s"], "s"),
        Figure(group, "memory at its peak", found["peak_mib"], "MiB"),
        Figure(group, "of that before the first page", found["before_mib"], "MiB"),
    ]
