"""An operator of a test: applies events as a worker does, runs commands, and reads the tables."""

import json
from dataclasses import dataclass
from typing import Any

import asyncpg

from consumers.handlers import load
from consumers.handlers.payments import builtin
from consumers.settings import Settings
from contract.accounts import PostingRules
from contract.event import Event
from tests.support.consuming import Workers
from tests.support.events import contract_event, stripe_event
from tests.support.stream_states import Said, say

HANDLERS = "tests.support.fact_handlers:handlers"
REFUND = "refund.created"
TRUSTING = '[stripe]\nprovider = "stripe"\ntrust = "all"\n'

PAYMENTS = "SELECT payment_id, status, captured, refunded FROM payments ORDER BY payment_id"
TRANSFERS = """
    SELECT movement, debit_account, credit_account, amount, currency, event_id FROM transfers ORDER BY movement
"""
BALANCES = "SELECT account, currency, balance FROM balances ORDER BY account, currency"
HELD = "SELECT reason, kind, object, amount, released_at IS NOT NULL FROM held_back ORDER BY event_id, kind"
DECISIONS = "SELECT id, decision FROM conflicts ORDER BY id"
HANDLED = "SELECT event_id, kind, object, amount, currency FROM handled_facts ORDER BY number"

IN, OUT = ("provider:stripe", "merchant"), ("merchant", "provider:stripe")


def captured(amount: int, event_id: str, payment: str = "pi_1", **changes: Any) -> Event:
    """Return Stripe's event that a payment succeeded."""
    body = stripe_event(event_id, payment, amount=amount, currency=changes.pop("currency", "eur"))
    return contract_event(event_id, payment, body=json.dumps(body).encode(), **changes)


def refunded(
    amount: int, event_id: str, refund: str = "re_1", *, payment: str = "pi_1", currency: str = "eur"
) -> Event:
    """Return Stripe's event about a refund."""
    body = stripe_event(event_id, refund, REFUND, amount=amount, currency=currency,
                        fields={"object": "refund", "status": "succeeded", "payment_intent": payment})  # fmt: skip
    return contract_event(event_id, payment, type=REFUND, body=json.dumps(body).encode())


def unsigned(*events: Event) -> list[Event]:
    """Return the events as if their provider's signature did not cover them."""
    return [
        contract_event(e.event_id, e.resource, type=e.type, body=e.body, namespace=e.namespace, signed="weak")
        for e in events
    ]


@dataclass(frozen=True, slots=True)
class Operator:
    """Applies events as a worker does, and runs commands."""

    workers: Workers
    settings: Settings

    @property
    def connection(self) -> asyncpg.Connection:
        return self.workers.connection

    async def apply(self, *events: Event, **posting_rules: PostingRules) -> None:
        for event in events:
            await self.workers.stream.publish(event)
        async with self.workers.working(load(HANDLERS, builtin(posting_rules), ""), batch_size=1):
            await self.workers.drained()

    async def say(self, *argv: str) -> Said:
        return await say(self.settings, *argv)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return await self.workers.rows(query)

    def trust(self, sources: str = TRUSTING) -> None:
        """Write sources.toml."""
        self.settings.sources_file.write_text(sources)

    async def assert_sound(self) -> None:
        assert await self.workers.findings() == []


STOPPED = [captured(700, "evt_700"), captured(800, "evt_800"), refunded(500, "evt_r1"), refunded(100, "evt_r2", "re_2")]
"""Two captures that contradict each other, and two refunds that wait for the decision."""
