"""`python -m tests.adversity.prove --seed N --minutes M`: faults at random under constant load, then the checker.

One or two faults at a time, by a schedule that the seed decides. Every request and answer of the senders is written to
a file. At the end everything is healed and drained, and the checker reads that file. In the last third of the time
operators delete entries and restore servers too; then the senders send everything again before the checker looks. The
exit code is 1 if a promise was broken. `--redis` and `--postgres` name another system than one server of each,
and `--upgrade` begins with the programs of the last release.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sql.connect import connect
from sql.migrate import migrate
from sql.roles import grant_rights
from tests.adversity.failovers import FAILOVERS
from tests.adversity.faults import FAULTS, Fault
from tests.adversity.operators import ACTS, check_after_losses
from tests.adversity.variants import ONE, POSTGRES, REDIS, Changes, Variant, upgrade
from tests.support import awkward_handlers
from tests.support.database import as_worker
from tests.support.harness import CONNECT_TIMEOUT_S, Harness
from tests.support.history import History, read
from tests.support.load import Load
from tests.support.processes import Programs
from tests.support.servers import PostgresServer, ValkeyServer

GATEWAYS = 2
WORKERS = 3
SENDERS = 6

FAULT_S = (0.1, 4.0)
"""How long a fault lasts: from a blink to well past every lease of the harness's workers."""

QUIET_S = (0.1, 2.0)
"""The pause between two faults."""

TWO_AT_ONCE = 0.3
"""How often a second thing breaks while the first is broken."""

WORKER_ENV = {"MAX_ATTEMPTS": "100", "HANDLERS": f"{awkward_handlers.__name__}:handlers"}
"""Workers are killed, and handlers hang and block, a thousand times more often than anywhere: no good event may be
given up for it."""

OPERATORS_SHARE = 1 / 3
"""The share of the time in which operators lose events too."""

LOCK_WAIT_S = 30.0

BREAKS = FAULTS | FAILOVERS


@asynccontextmanager
async def whole_system(
    folder: Path, variants: Sequence[Variant], partitions: int = 1
) -> AsyncIterator[tuple[Harness, list[Changes]]]:
    """Servers, gateways and workers, all below one folder; and what the variants do to the faults."""
    valkey, postgres = ValkeyServer(folder / "valkey"), PostgresServer(folder / "postgres")
    async with AsyncExitStack() as stack:
        for server in (valkey, postgres):
            server.start()
            stack.callback(server.kill)
        async with connect(postgres.url, timeout_s=CONNECT_TIMEOUT_S) as connection:
            await migrate(connection, lock_wait_s=LOCK_WAIT_S)
            await grant_rights(connection, as_worker(postgres.url))
        programs = stack.enter_context(Programs(folder / "programs", shows_logs=False))
        history = stack.enter_context(History(folder / "history.jsonl"))
        shared = {"PARTITIONS": str(partitions)}
        harness = Harness(
            valkey, postgres, postgres.url, programs, history, gateway_env=shared, worker_env=WORKER_ENV | shared
        )
        await stack.enter_async_context(harness)
        changes = [await stack.enter_async_context(variant(harness)) for variant in variants]
        await harness.add_workers(WORKERS)
        await harness.add_gateways(GATEWAYS)
        yield harness, changes


async def break_things(
    harness: Harness, faults: Mapping[str, Fault], rng: random.Random, until_s: float, sending: "asyncio.Task[None]"
) -> None:
    """Fault after fault until the time is over. `sending` ends early only by failing: then all this ends too."""
    while time.monotonic() < until_s:
        async with AsyncExitStack() as stack:
            for name in _next_faults(faults, rng):
                harness.history.fault(name)
                await stack.enter_async_context(faults[name](harness, rng))
            await _last(sending, rng.uniform(*FAULT_S))
        harness.history.fault("healed")
        history = harness.history
        _say(
            f"{until_s - time.monotonic():6.0f} s left, {history.promised} events promised, "
            f"answers {dict(sorted(history.statuses.items()))}, healed: {history.faults[-2]}"
        )
        await _last(sending, rng.uniform(*QUIET_S))


def _next_faults(faults: Mapping[str, Fault], rng: random.Random) -> list[str]:
    """One or two, of different things. An operator acts alone: nobody restores a server that is being killed."""
    first, second = rng.choice(list(faults)), rng.choice(list(faults))
    both = _thing(first) != _thing(second) and not {first, second} & ACTS.keys() and rng.random() < TWO_AT_ONCE
    return [first, second] if both else [first]


def _thing(fault: str) -> str:
    return fault.partition(":")[0] if ":" in fault else fault.partition(" ")[0]


async def _last(sending: "asyncio.Task[None]", duration_s: float) -> None:
    await asyncio.wait([sending], timeout=duration_s)
    if sending.done():
        sending.result()


async def prove(
    seed: int, minutes: float, folder: Path, variants: Sequence[Variant] = (), partitions: int = 1
) -> list[str]:
    """The broken promises."""
    rng = random.Random(seed)
    async with whole_system(folder, variants, partitions) as (harness, changes):
        breaks, acts = BREAKS, ACTS
        for each in changes:
            breaks, acts = each.of(breaks), each.without(acts)
        await _under_load(harness, breaks, rng, minutes * (1 - OPERATORS_SHARE), "pi")
        for each in changes:
            if each.finish:
                await each.finish()
                breaks = each.withdrawn(breaks)
        broken = await harness.check_promises()
        _say(f"{len(broken)} promises broken by faults; now operators lose events too.")
        load = await _under_load(harness, breaks | acts, rng, minutes * OPERATORS_SHARE, "op")
        harness.history.close()
        harness.history = read(folder / "history.jsonl")
        broken += await check_after_losses(harness, load)
        broken += [line for each in changes for line in each.broken]
        _say(f"{len(harness.history.faults)} faults and healings, {harness.history.promised} events promised, "
             f"answers {dict(sorted(harness.history.statuses.items()))}.")  # fmt: skip
        return broken


async def _under_load(
    harness: Harness, faults: Mapping[str, Fault], rng: random.Random, minutes: float, prefix: str
) -> Load:
    """Break things for some minutes, then heal everything and send until all is promised."""
    load = Load(lambda: harness.urls, harness.history, seed=rng.randrange(2**32), senders=SENDERS, prefix=prefix)
    sending = asyncio.create_task(load.run())
    try:
        await break_things(harness, faults, rng, time.monotonic() + minutes * 60, sending)
        _say("Everything is healed; what was sent is delivered until it is promised, then the stream drains.")
        load.finish()
        await sending
    finally:
        sending.cancel()
        await asyncio.wait([sending])
    return load


def main() -> int:
    """0 where every promise was kept, 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversity.prove", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides what breaks when; 1 if absent")
    parser.add_argument("--minutes", type=float, default=10, help="how long things are broken; 10 if absent")
    parser.add_argument("--redis", choices=(ONE, *REDIS), default=ONE, help="how Redis runs; one server if absent")
    parser.add_argument("--postgres", choices=(ONE, *POSTGRES), default=ONE, help="how Postgres runs, likewise")
    parser.add_argument("--partitions", type=int, default=1, help="how many streams share the events; 1 if absent")
    parser.add_argument("--upgrade", action="store_true", help="begin with the last release, and upgrade under load")
    arguments = parser.parse_args()
    if arguments.upgrade and arguments.postgres == "pooler":
        parser.error("the last release does not work behind a pooler")
    folder = Path(tempfile.mkdtemp(prefix="prove-"))
    _say(f"Seed {arguments.seed}, {arguments.minutes:g} minutes. History and logs: {folder}")
    broken = asyncio.run(prove(arguments.seed, arguments.minutes, folder, _variants(arguments), arguments.partitions))
    for line in broken:
        _say(line)
    _say(f"{len(broken)} promises broken with seed {arguments.seed}." if broken else "Every promise was kept.")
    return 1 if broken else 0


def _variants(arguments: argparse.Namespace) -> list[Variant]:
    chosen = ((REDIS, arguments.redis), (POSTGRES, arguments.postgres))
    return [variants[name] for variants, name in chosen if name != ONE] + [upgrade] * arguments.upgrade


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
