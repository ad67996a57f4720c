"""What can go wrong, each with its end: entered, something is broken; left, it is healed as an operator would."""

import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from tests.support.child import Child
from tests.support.harness import Harness
from tests.support.proxy import TcpProxy

AnyChild = TypeVar("AnyChild", bound=Child)

Fault = Callable[[Harness, random.Random], AbstractAsyncContextManager[None]]

MEMORY_LEFT_BYTES = 20_000
"""What a Redis that is filling up has left."""


@asynccontextmanager
async def redis_killed(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    harness.valkey.kill()
    yield
    await harness.valkey.restart()


@asynccontextmanager
async def redis_frozen(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    harness.valkey.pause()
    yield
    harness.valkey.resume()


@asynccontextmanager
async def redis_full(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    async with harness.redis() as redis:
        memory = await redis.info("memory")
        used_bytes = memory["used_memory"] - memory["mem_not_counted_for_evict"]
        await redis.config_set("maxmemory", used_bytes + MEMORY_LEFT_BYTES)
        yield
        await redis.config_set("maxmemory", 0)


@asynccontextmanager
async def postgres_killed(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    harness.postgres.kill()
    yield
    await harness.postgres.restart()


@asynccontextmanager
async def postgres_frozen(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    harness.postgres.pause()
    yield
    harness.postgres.resume()


@asynccontextmanager
async def postgres_full(harness: Harness, _: random.Random) -> AsyncIterator[None]:
    """No test can fill a disk without rights to mount one: a trigger raises what PostgreSQL then raises."""
    async with harness.database() as connection:
        await connection.execute(DISK_IS_FULL)
    yield
    async with harness.database() as connection:
        await connection.execute(DISK_HAS_ROOM)


DISK_IS_FULL = """
    CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$;
    CREATE TRIGGER disk_is_full BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full();
"""
DISK_HAS_ROOM = "DROP FUNCTION disk_is_full CASCADE"


@asynccontextmanager
async def payment_locked(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    """A session holds the row of one payment locked, as somebody does who leaves psql open; it is gone in the end."""
    async with harness.database() as connection, connection.transaction():
        payments = await connection.fetch("SELECT namespace, payment_id FROM payments ORDER BY payment_id LIMIT 100")
        if payments:
            locked = rng.choice(payments)
            await connection.execute(
                "SELECT FROM payments WHERE (namespace, payment_id) = ($1, $2) FOR UPDATE", *locked.values()
            )
        yield


@asynccontextmanager
async def worker_killed(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    worker = _one_of(harness.workers, rng)
    worker.kill()
    yield
    harness.replace_worker(worker)


@asynccontextmanager
async def worker_frozen(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    worker = _one_of(harness.workers, rng)
    worker.pause()
    yield
    worker.resume()


@asynccontextmanager
async def worker_replaced(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    """As a deployment does."""
    worker = _one_of(harness.workers, rng)
    await asked_to_stop(worker)
    yield
    harness.replace_worker(worker)


@asynccontextmanager
async def gateway_killed(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    gateway = _one_of(harness.gateways, rng)
    gateway.kill()
    yield
    await harness.restart_gateway(gateway)


@asynccontextmanager
async def gateway_frozen(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    gateway = _one_of(harness.gateways, rng)
    gateway.pause()
    yield
    gateway.resume()


@asynccontextmanager
async def gateway_replaced(harness: Harness, rng: random.Random) -> AsyncIterator[None]:
    gateway = _one_of(harness.gateways, rng)
    await asked_to_stop(gateway)
    yield
    await harness.restart_gateway(gateway)


def _one_of(children: list[AnyChild], rng: random.Random) -> AnyChild:
    """One that runs; one that has ended by itself is a finding."""
    child = rng.choice(children)
    assert child.is_running, f"{child.name} has ended by itself:\n{child.log}"
    return child


SIGNS_OF_LIFE = ('"working"', "the gateway listens")
"""What a worker and a gateway log once they are ready; before that SIGTERM ends them as it ends any process."""


async def asked_to_stop(child: Child) -> None:
    starting = not any(sign in child.log for sign in SIGNS_OF_LIFE)
    code = await child.stopped()
    assert code == 0 or (starting and code == -signal.SIGTERM), f"{child.name} ended with {code}:\n{child.log}"


def wire_cut(wire: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        _wire(harness, wire).cut()
        yield

    return fault


def wire_stalled(wire: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        _wire(harness, wire).stall()
        yield
        _wire(harness, wire).resume()

    return fault


def wire_loses_replies(wire: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        _wire(harness, wire).drop_replies()
        yield
        _wire(harness, wire).cut()  # what lost a reply can never be in step again
        _wire(harness, wire).resume()

    return fault


def wire_half_closed(wire: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        _wire(harness, wire).half_close()
        yield

    return fault


def wire_refuses(wire: str) -> Fault:
    @asynccontextmanager
    async def fault(harness: Harness, _: random.Random) -> AsyncIterator[None]:
        await _wire(harness, wire).refuse()
        _wire(harness, wire).cut()
        yield
        await _wire(harness, wire).start()

    return fault


def _wire(harness: Harness, name: str) -> TcpProxy:
    wires = {
        "gateway to redis": harness.gateway_to_redis,
        "worker to redis": harness.worker_to_redis,
        "worker to postgres": harness.worker_to_postgres,
    }
    return wires[name]


WIRES = ("gateway to redis", "worker to redis", "worker to postgres")

LASTING: dict[str, Callable[[str], Fault]] = {
    "stalled": wire_stalled,
    "loses replies": wire_loses_replies,
    "refuses": wire_refuses,
}
"""As long as they last, nothing gets through."""

PASSING: dict[str, Callable[[str], Fault]] = {"cut": wire_cut, "half closed": wire_half_closed}
"""They break what is connected now."""

FAULTS: dict[str, Fault] = {
    "redis killed": redis_killed,
    "redis frozen": redis_frozen,
    "redis full": redis_full,
    "postgres killed": postgres_killed,
    "postgres frozen": postgres_frozen,
    "postgres full": postgres_full,
    "postgres row locked": payment_locked,
    "worker killed": worker_killed,
    "worker frozen": worker_frozen,
    "worker replaced": worker_replaced,
    "gateway killed": gateway_killed,
    "gateway frozen": gateway_frozen,
    "gateway replaced": gateway_replaced,
} | {f"{wire}: {name}": fault(wire) for wire in WIRES for name, fault in (LASTING | PASSING).items()}
"""All faults, by the name that a history records."""
