"""A shop with everything it runs: gateway, worker with handlers of its own, and console, within the test's process."""

import random
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from consumers.handlers import Connection, Event, Handlers, PaymentFact, Reject, Retry
from consumers.handlers.payments import HANDLERS
from contract.keys import Keys
from gateway.sources import load_sources
from sql.connect import connect
from stack.ports import HOST
from tests.support import gateway
from tests.support.compared import was_compared, was_found
from tests.support.console import RunningConsole, running_console
from tests.support.consuming import Workers
from tests.support.database import CONNECT_TIMEOUT_S, as_worker
from tests.support.events import Signed
from tests.support.servers import as_user
from tests.support.shop_events import (
    HOSTILE,
    SOURCES_TOML,
    adyen,
    checkout,
    mollie,
    paid,
    random_id,
    refunded,
    transferred,
)
from tests.support.stream_states import Stream, settings_for
from tests.support.wait import until

REJECTED = 52
"""Payments of the seeded shop that its handler rejects for their currency."""

RETRY_AFTER_S = 3600.0

COMPARED = 'reconcile_every = "1h"\napi_key = "sk_test_of_nobody"\n'
"""No reconciler runs in the shop: `seed` writes what one would have found."""

UNHURRIED: dict[str, Any] = {
    "lock_ttl_ms": 10_000,
    "claim_idle_ms": 15_000,
    "slot_ttl_ms": 10_000,
    "redis_timeout_s": 10,
    "acquire_timeout_s": 10,
    "statement_timeout_s": 30,
    "transaction_idle_s": 60,
    "handler_timeout_s": 10,
}
"""A worker that shares its event loop and its machine with a browser."""


@dataclass
class Team:
    """The handlers of the shop's own team, with the mistakes that a person finds in the console."""

    priced: set[str] = field(default_factory=lambda: {"EUR", "USD", "SEK"})
    """A payment in another currency is rejected, until somebody adds it."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Payment → why it is rejected."""
    delayed: dict[str, str] = field(default_factory=dict)
    """Payment → why it has to wait."""

    def handlers(self) -> Handlers:
        handlers = HANDLERS.joined_with(Handlers())

        @handlers.on_fact("captured")
        async def mark_order_paid(_: Connection, event: Event, fact: PaymentFact) -> None:
            if reason := self.rejected.get(event.resource):
                raise Reject(reason)
            if reason := self.delayed.get(event.resource):
                raise Retry(reason, after=RETRY_AFTER_S)
            if fact.currency not in self.priced:
                raise Reject(f"there is no price list in {fact.currency}")

        return handlers


@dataclass(frozen=True)
class Shop:
    """What a test sends, looks at and repairs."""

    gateway: gateway.Running
    workers: Workers
    console: RunningConsole
    team: Team
    paths: dict[str, str] = field(default_factory=dict)
    """Pages about one thing that `seed` made: what it shows → its path."""

    async def send(self, *deliveries: Signed) -> None:
        """Have providers deliver these; each is accepted."""
        for each in deliveries:
            answer = await self.gateway.post(each)
            assert answer.status in (200, 202), answer.body

    async def is_done(self, applied: int, dead: int = 0) -> None:
        """Wait until this number of events is applied and this number dead-lettered."""

        async def counts() -> bool:
            row = await self.workers.row("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM dead_letters)")
            return row >= (applied, dead)

        await until(counts, what=f"{applied} events are applied and {dead} are dead")

    async def has_open_dead_letters(self, exactly: int) -> None:
        """Wait until this number of dead letters is open."""

        async def counted() -> bool:
            (open_,) = await self.workers.row("SELECT count(*) FROM dead_letters WHERE state = 'open'")
            return bool(open_ == exactly)

        await until(counted, what=f"{exactly} dead letters are open")


@asynccontextmanager
async def open_shop(redis_url: str, database_url: str, key_prefix: str, folder: Path) -> AsyncIterator[Shop]:
    """Run a shop on these servers; nothing has been sent to it yet."""
    team = Team()
    sources = folder / "sources.toml"
    sources.write_text(SOURCES_TOML.replace("[stripe]\n", f"[stripe]\n{COMPARED}"))
    settings = settings_for(as_user("workers", redis_url), as_worker(database_url), key_prefix, sources_file=sources)
    async with (
        Redis.from_url(redis_url, decode_responses=False, protocol=3) as redis,
        connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as connection,
        gateway.running(
            redis_url, key_prefix, providers=load_sources(sources, {}), operators=socket.create_server((HOST, 0))
        ) as running,
        running_console(settings, gateway_operators_url=running.operators_url) as console,
    ):
        workers = Workers(Stream(redis, Keys(key_prefix)), connection, settings)
        async with workers.working(team.handlers(), **UNHURRIED):
            yield Shop(running, workers, console, team)


async def seed(shop: Shop) -> None:
    """Bring the shop into a state in which each page of the console has something to show."""
    source = random.Random(11)
    payments = [random_id("pi_", source) for _ in range(40)]
    amounts = [source.randrange(490, 24900, 10) for _ in payments]
    good: list[Signed] = [paid(p, a, order=1000 + n) for n, (p, a) in enumerate(zip(payments, amounts, strict=True))]
    good += [refunded(payment, amount // 3) for payment, amount in zip(payments[:6], amounts, strict=False)]
    good += [transferred(number, f"{source.randrange(5, 400)}.50") for number in range(12)]
    good += [adyen(f"88{source.randrange(10**13, 10**14)}", 4990 + 500 * n, 2000 + n) for n in range(5)]
    good += [checkout(random_id("pay_", source), 12900), mollie(random_id("pl_", source), "24.90")]
    await shop.send(*good)
    bad = [paid(random_id("pi_", source), 1000 + 70 * n, "gbp", order=3000 + n) for n in range(REJECTED)]
    cancelled = [random_id("pi_", source) for _ in range(3)]
    shop.team.rejected |= dict.fromkeys(cancelled, "the order was cancelled before it was paid")
    await shop.send(*bad, *(paid(payment, 2990, order=3100 + n) for n, payment in enumerate(cancelled)))
    waiting = random_id("pi_", source)
    shop.team.delayed[waiting] = "the warehouse does not answer"
    contradicted = [paid(payments[n], amounts[n] + 100, order=1000 + n, event_id=f"evt_again_{n}") for n in (7, 8)]
    await shop.send(paid(waiting, 5990, order=3200), *contradicted)
    await shop.is_done(len(good) + len(contradicted), REJECTED + len(cancelled))
    await shop.workers.failure_recorded()
    for forged in good[:3]:
        assert (await shop.gateway.post(replace(forged, body=forged.body + b" "))).status == 401
    await act(shop)
    lost = await compare(shop, payments[3])
    (conflict,) = await shop.workers.row("SELECT min(id) FROM conflicts WHERE decision IS NULL")
    shop.paths.update(
        {
            "a refunded payment": f"/payments/stripe/{payments[0]}",
            "a contradicted payment": f"/payments/stripe/{payments[7]}",
            "an applied event": f"/events/stripe/{good[0].event_id}",
            "a conflict": f"/conflicts/{conflict}",
            "/conflicts/release": "/conflicts/release?source=adyen",
            "/erase": f"/erase?payment={payments[0]}",
            "a dead event": f"/events/stripe/{bad[0].event_id}",
            "a missing event": f"/events/stripe/{lost}",
            "a waiting event": f"/events/stripe/{waiting.replace('pi_', 'evt_', 1)}",
        }
    )


async def compare(shop: Shop, payment: str) -> str:
    """Record what a comparison with Stripe's list found; return an event that never arrived."""
    connection, now = shop.workers.connection, datetime.now(UTC)
    await was_compared(
        connection, until=now - timedelta(hours=2), next_at=now + timedelta(minutes=40),
        outcome="412 listed from 2026-11-25 14:00:00 UTC to 2026-11-26 14:05:00 UTC, 2 missing, 1 different",
    )  # fmt: skip
    await was_found(connection, "evt_3PLost1", payment=payment)
    await was_found(connection, "evt_3PLost2", payment="pi_3PUnknown")
    await was_found(
        connection, "evt_3PBack", payment=payment, repaired_at=now, entry_id="1764165900000-0", resolved_at=now
    )  # fmt: skip
    await was_found(
        connection, f"evt_{payment.removeprefix('pi_')}", "different", payment=payment,
        difference="the amounts differ", recorded="captured 12.00 EUR", listed="captured 12.50 EUR",
    )  # fmt: skip
    return "evt_3PLost1"


async def act(shop: Shop) -> None:
    """Have people do what they do in the console, so that the operators' log has it."""
    (conflict,) = await shop.workers.row("SELECT max(id) FROM conflicts")
    (dead,) = await shop.workers.row("SELECT max(id) FROM dead_letters")
    confirmed = {"ids": str(dead), "confirm": "yes"}
    meant = {"keep": "booked", "reason": "Stripe's dashboard shows one capture, of what is booked"}
    asked = await shop.console.money.post(f"/conflicts/{conflict}/resolve", meant)
    shown = re.search(r'name="shown" value="([0-9a-f]+)"', asked.text)
    assert shown, asked.text
    for client, path, form in (
        (shop.console.money, f"/conflicts/{conflict}/resolve", meant | {"shown": shown[1]}),
        (shop.console.operator, "/dead/discard", confirmed | {"reason": "refunded by hand, ticket 4711"}),
    ):  # fmt: skip
        answer = await client.post(path, form)
        assert answer.status in (200, 303), answer.text


@dataclass(frozen=True, slots=True)
class Sent:
    """The ids of what was sent from the source `stripe`."""

    events: list[str]
    payments: list[str]


async def send_hostile(shop: Shop) -> Sent:
    """Send what a hostile sender can choose, so that each list of the console has it."""
    rejected, delayed, contradicted = (f"pi_{name}_{HOSTILE}" for name in ("rejected", "delayed", "contradicted"))
    shop.team.rejected[rejected] = f"no order {HOSTILE}"
    shop.team.delayed[delayed] = f"no answer about {HOSTILE}"
    deliveries = [
        paid(contradicted, 700, event_id=f"evt_700_{HOSTILE}"),
        paid(contradicted, 800, event_id=f"evt_800_{HOSTILE}"),
        paid(f"pi_odd_{HOSTILE}", 900, event_id=f"evt_odd_{HOSTILE}", type_=f"charge.{HOSTILE}"),
        paid(rejected, 1000),
        paid(delayed, 1100),
    ]
    await shop.send(*deliveries, adyen(f"88{HOSTILE}", 500, 1))
    await shop.is_done(applied=4, dead=1)
    await shop.workers.failure_recorded()
    return Sent([each.event_id for each in deliveries], [rejected, delayed, contradicted])
