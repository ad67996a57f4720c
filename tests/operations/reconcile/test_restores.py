"""After a restore of Postgres or Redis from an older copy: reconcile, and every row is as before."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from consumers.settings import Settings
from contract.event import Event
from contract.keys import Keys
from sql.connect import connect
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S, as_worker, fresh_database
from tests.support.events import contract_event
from tests.support.operator_commands import captured, refunded
from tests.support.reconciling import NOW, Reconciler
from tests.support.reported_histories import EVERYTHING, rows
from tests.support.servers import PostgresServer, ValkeyServer, as_user
from tests.support.stand_ins.listing import Listing, at
from tests.support.stream_states import Stream, settings_for

EVENT_ROWS = "SELECT event_id, type, resource, occurred_at FROM events"


def story(number: int) -> list[Event]:
    """Return the events of a payment that was captured and refunded in part."""
    payment = f"pi_{number}"
    return [
        at(contract_event(f"evt_{number}a", payment, type="payment_intent.created"), NOW),
        at(captured(700 + number, f"evt_{number}b", payment), NOW),
        at(refunded(50, f"evt_{number}c", f"re_{number}", payment=payment), NOW),
    ]


BEFORE = [event for number in range(4) for event in story(number)]
AFTER = [event for number in range(4, 8) for event in story(number)]


@dataclass
class Place:
    """Servers of which one can be exchanged for an older copy of itself."""

    redis: Redis
    redis_url: str
    database_url: str
    keys: Keys

    def settings(self) -> Settings:
        return settings_for(as_user("workers", self.redis_url), as_worker(self.database_url), self.keys.prefix)

    async def arrive(self, events: Sequence[Event], *, applied: bool = True) -> None:
        for event in events:
            await Stream(self.redis, self.keys).publish(event)
        if applied:
            await self.drain()

    async def drain(self) -> None:
        async with connect(self.database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            workers = Workers(Stream(self.redis, self.keys), connection, self.settings())
            async with workers.working():
                await workers.drained()

    async def tables(self) -> list[object]:
        async with connect(self.database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            return [await rows(connection, query) for query in (*EVERYTHING, EVENT_ROWS)]

    async def reconcile(self, listing: Listing) -> tuple[int, int]:
        """Return how many events were missing, and how many were added."""
        async with connect(self.database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            workers = Workers(Stream(self.redis, self.keys), connection, self.settings())
            counts = (await Reconciler(workers, listing).run(repair=True)).counts
        return counts.missing, counts.repaired


@pytest.fixture
async def whole(listing: Listing, redis: Redis, valkey: ValkeyServer, keys: Keys, database_url: str) -> list[object]:
    """Return the rows after everything has arrived, and list all of it."""
    listing.add(*(at(event, NOW) for event in [*BEFORE, *AFTER]))
    place = Place(redis, valkey.url, database_url, Keys(f"{keys.prefix}-whole"))
    await place.arrive([*BEFORE, *AFTER])
    return await place.tables()


async def test_postgres_is_restored_from_an_older_copy(
    listing: Listing, whole: list[object], redis: Redis, valkey: ValkeyServer, keys: Keys,
    postgres_with_template: PostgresServer,
) -> None:  # fmt: skip
    async with fresh_database(postgres_with_template) as present:
        place = Place(redis, valkey.url, present, keys)
        await place.arrive(BEFORE)
        async with fresh_database(postgres_with_template, template=urlsplit(present).path.removeprefix("/")) as older:
            await place.arrive(AFTER)
            assert await place.tables() == whole
            restored = Place(redis, valkey.url, older, keys)
            assert await redis.xlen(keys.events) == 0  # the entries are deleted: only the provider has the events now
            assert await restored.tables() != whole
            assert await restored.reconcile(listing) == (len(AFTER), len(AFTER))
            await restored.drain()
            assert await restored.tables() == whole
            assert await restored.reconcile(listing) == (0, 0)


async def test_redis_is_restored_from_an_older_copy(
    listing: Listing, whole: list[object], keys: Keys, tmp_path: Path,
    postgres_with_template: PostgresServer, private_valkey: ValkeyServer,
) -> None:  # fmt: skip
    server = private_valkey
    async with fresh_database(postgres_with_template) as url:
        async with Redis.from_url(server.url, protocol=3) as redis:
            place = Place(redis, server.url, url, keys)
            await place.arrive(BEFORE[:6])
            await place.arrive(BEFORE[6:], applied=False)
        server.kill()
        server.data_dir.rename(tmp_path / "older")
        shutil.copytree(tmp_path / "older", server.data_dir)
        server.start()
        async with Redis.from_url(server.url, protocol=3) as redis:
            place = Place(redis, server.url, url, keys)
            await place.arrive(AFTER[:6])
            await place.arrive(AFTER[6:], applied=False)  # durable here, and nowhere else
        server.kill()
        server.data_dir.rename(tmp_path / "lost")
        shutil.copytree(tmp_path / "older", server.data_dir)
        server.start()
        async with Redis.from_url(server.url, protocol=3) as redis:
            place = Place(redis, server.url, url, keys)
            assert await place.reconcile(listing) == (6, 6)
            await place.drain()
            assert await place.tables() == whole
