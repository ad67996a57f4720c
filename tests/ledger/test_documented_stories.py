"""Stories that providers document: in any order, with any repeats and batches, the same rows."""

from dataclasses import replace
from itertools import pairwise

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.handlers.payments import builtin
from contract.accounts import ACCOUNTS, PostingRules
from contract.event import Event
from sql.audit import audit
from tests.support.consuming import Workers
from tests.support.stories.base import published
from tests.support.stories.documented import Documented
from tests.support.stories.documented_more import PADDLE, PAYSTACK, RAZORPAY
from tests.support.stories.documented_paypal import PAYPAL
from tests.support.stories.documented_square import SQUARE
from tests.support.stories.documented_stripe import STRIPE

STORIES = {
    f"{story.provider}: {name}": story
    for stories in (STRIPE, SQUARE, PAYSTACK, RAZORPAY, PADDLE, PAYPAL)
    for name, story in stories.items()
}
every_story = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())

TRUST = {story.provider: PostingRules(trust="all") for story in STORIES.values()}

CALL_TIMEOUT_S = 10.0

PAYMENTS = "SELECT payment_id, status, captured, refunded, disputed FROM payments WHERE namespace = $1"
TRANSFERS = "SELECT movement, amount, currency FROM transfers WHERE namespace = $1"
BALANCES = "SELECT account, currency, balance FROM balances WHERE namespace = $1 AND account NOT LIKE 'provider:%'"
REFUSED = "SELECT namespace FROM conflicts UNION ALL SELECT namespace FROM held_back"

Batches = list[list[Event]]


def events_of(story: Documented) -> list[Event]:
    """Return the events as the gateway would publish them."""
    return [
        published(story.provider, body, {"PAYPAL-TRANSMISSION-ID": f"t_{number}"})
        for number, body in enumerate(story.bodies)
    ]


@st.composite
def ways(draw: st.DrawFn, events: list[Event]) -> Batches:
    """Draw an order, with repeats, in batches."""
    order = draw(st.permutations([*events, *draw(st.lists(st.sampled_from(events), max_size=2))]))
    cuts = [0, *sorted(draw(st.sets(st.integers(1, len(order)), max_size=3))), len(order)]
    return [list(order[start:end]) for start, end in pairwise(cuts) if start < end]


async def assert_rows(connection: asyncpg.Connection, story: Documented, namespace: str) -> None:
    payments = {row["payment_id"]: tuple(row)[1:] for row in await connection.fetch(PAYMENTS, namespace)}
    transfers = {row["movement"]: tuple(row)[1:] for row in await connection.fetch(TRANSFERS, namespace)}
    balances = {tuple(row)[:2]: row["balance"] for row in await connection.fetch(BALANCES, namespace)}
    assert payments == story.payments
    assert transfers == story.transfers
    assert {key: balance for key, balance in balances.items() if balance} == story.balances
    assert await connection.fetch(REFUSED) == []


@every_story
@settings(
    deadline=None, max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
async def test_a_documented_story_gives_its_rows_in_any_order(
    connection: asyncpg.Connection, story: Documented, data: st.DataObject
) -> None:
    handlers = builtin(TRUST)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT pg_current_xact_id()")  # as the claim does, which is not made here
    try:
        for batch in data.draw(ways(events_of(story))):
            once = {event.event_id: event for event in batch}  # within a batch, the claim sees to that
            await handlers.apply(connection, list(once.values()), CALL_TIMEOUT_S, lambda: None)
        await assert_rows(connection, story, story.provider)
    finally:
        await transaction.rollback()


async def test_workers_give_every_story_its_rows_and_test_money_moves_nothing(workers: Workers) -> None:
    """Each story in a namespace of its own; and once more as test events, which are recorded only."""
    expected: dict[str, Documented] = {}
    for number, story in enumerate(STORIES.values()):
        for event in reversed(events_of(story)):
            live, test = f"live-{number}", f"test-{number}"
            await workers.stream.publish(replace(event, namespace=live))
            await workers.stream.publish(replace(event, namespace=test, mode="test"))
            expected |= {live: story, test: replace(story, payments={}, transfers={}, balances={})}
    async with workers.working(builtin(TRUST)):
        await workers.drained()
    assert await workers.dead() == []
    for namespace, story in expected.items():
        await assert_rows(workers.connection, story, namespace)
    assert await audit(workers.connection) == []


async def test_each_connected_account_has_the_money_that_is_its_own(workers: Workers) -> None:
    rules = {"stripe": PostingRules(accounts={**ACCOUNTS, "merchant": "merchant:{account}"})}
    for account in ("acct_A", "acct_B", None):
        intent = {"id": f"pi_{account}", "amount": 700, "amount_received": 700, "currency": "eur"}
        await workers.stream.publish(
            published("stripe", {"id": f"evt_{account}", "type": "payment_intent.succeeded", "created": 1,
                                 "livemode": True, "account": account, "data": {"object": intent}})
        )  # fmt: skip
    async with workers.working(builtin(rules)):
        await workers.drained()
    assert await workers.rows(BALANCES + " ORDER BY account", "stripe") == [
        ("merchant:acct_A", "EUR", 700), ("merchant:acct_B", "EUR", 700), ("merchant:own", "EUR", 700)
    ]  # fmt: skip
    assert await workers.rows("SELECT account FROM events ORDER BY account") == [("",), ("acct_A",), ("acct_B",)]
