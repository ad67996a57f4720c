"""A payment's row has what a person kept, whatever was reported before and is reported again, in any order."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from contract.event import Event
from sql.audit import audit
from tests.support.books import empty_books
from tests.support.events import contract_event, stripe_event
from tests.support.operator_commands import Operator, captured, refunded

ROW = "SELECT status, currency, amount, captured, refunded, contradicted FROM payments"
OPEN = """
    SELECT id, booked_amount, booked_currency, reported_amount, reported_currency FROM conflicts
    WHERE kept IS NULL ORDER BY id
"""
Money = tuple[int, str]


def asked(amount: int, event_id: str, currency: str = "eur") -> Event:
    """Return Stripe's event that a payment was begun."""
    body = stripe_event(event_id, "pi_1", "payment_intent.created", amount=amount, currency=currency)
    return contract_event(event_id, type="payment_intent.created", body=json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class Story:
    """What is reported before a decision, what a person says is right, what comes later, and the row then."""

    before: Sequence[Event]
    right: Money
    later: Sequence[Event]
    row: tuple[str, str, int, int, int, bool]


EUR, USD = captured(11150, "evt_eur"), captured(11150, "evt_usd", currency="usd")
AGAIN = [captured(11150, "evt_eur_2"), captured(11150, "evt_usd_2", currency="usd")]
LESS, MORE = captured(11050, "evt_less"), captured(99900, "evt_more")
BOTH_AGAIN = [captured(11050, "evt_less_2"), captured(99900, "evt_more_2")]
STORIES = {
    "the first by name of two currencies": Story(
        [EUR, USD], (11150, "EUR"), AGAIN, ("succeeded", "EUR", 11150, 11150, 0, False)),
    "the second by name of two currencies": Story(
        [EUR, USD], (11150, "USD"), AGAIN, ("succeeded", "USD", 11150, 11150, 0, False)),
    "a currency of another amount, and money that waited": Story(
        [EUR, captured(12000, "evt_usd", currency="usd"), asked(90000, "evt_asked")], (12000, "USD"),
        [*AGAIN[:1], refunded(500, "evt_refund", currency="usd"), asked(12500, "evt_asked_usd", "usd")],
        ("partially_refunded", "USD", 12500, 12000, 500, False)),
    "the smaller amount": Story(
        [LESS, MORE], (11050, "EUR"), BOTH_AGAIN, ("succeeded", "EUR", 11050, 11050, 0, False)),
    "the larger amount": Story(
        [LESS, MORE], (99900, "EUR"), BOTH_AGAIN, ("succeeded", "EUR", 99900, 99900, 0, False)),
    "the smaller amount of a larger authorization": Story(
        [LESS, captured(12000, "evt_more"), asked(50000, "evt_asked")], (11050, "EUR"),
        [*BOTH_AGAIN[:1], captured(12000, "evt_more_2"), asked(50000, "evt_asked_2")],
        ("succeeded", "EUR", 50000, 11050, 0, False)),
    "the smaller amount of an authorization between the two": Story(
        [LESS, MORE, asked(50000, "evt_asked")], (11050, "EUR"), BOTH_AGAIN,
        ("succeeded", "EUR", 50000, 11050, 0, False)),
    "a third amount": Story(
        [LESS, MORE, captured(322280, "evt_most")], (99900, "EUR"), [*BOTH_AGAIN, refunded(99900, "evt_refund")],
        ("refunded", "EUR", 99900, 99900, 99900, False)),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_the_row_has_what_was_kept_in_any_order(operator: Operator, name: str) -> None:
    story = STORIES[name]
    chance = random.Random(name)
    for batch_size in (1, 2, 500):
        await deliver(operator, chance.sample(story.before, len(story.before)), batch_size)
        await decide(operator, story.right)
        later = [*story.later, *story.before]
        await deliver(operator, chance.sample(later, len(later)), batch_size)
        assert await operator.rows(ROW) == [story.row]
        assert await operator.rows(OPEN) == []
        assert await audit(operator.connection) == []
        await empty_books(operator.connection)


async def test_the_row_has_what_was_kept_at_once(operator: Operator) -> None:
    await deliver(operator, [EUR, USD], 1)
    assert await operator.rows(ROW) == [("succeeded", "EUR", 11150, 11150, 0, True)]
    await decide(operator, (11150, "USD"))
    assert await operator.rows(ROW) == [("succeeded", "USD", 11150, 11150, 0, False)]
    assert "contradicted" not in (await operator.say("why", "pi_1")).text


@pytest.mark.parametrize("right", ["EUR", "USD"])
@pytest.mark.parametrize("third", [captured(11150, "evt_gbp", currency="gbp"), asked(11150, "evt_aud", "aud")])
async def test_a_third_currency_is_a_new_contradiction(operator: Operator, right: str, third: Event) -> None:
    await deliver(operator, [EUR, USD], 1)
    await decide(operator, (11150, right))
    await deliver(operator, [third], 1)
    assert await operator.rows(ROW) == [("succeeded", right, 11150, 11150, 0, True)]
    ((_, _, booked, _, reported),) = await operator.rows(OPEN)
    assert (booked, reported) == (right, third.event_id[-3:].upper())
    await decide(operator, (11150, right))
    await deliver(operator, AGAIN, 2)
    assert await operator.rows(ROW) == [("succeeded", right, 11150, 11150, 0, False)]
    await operator.assert_sound()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("right", ["EUR", "USD"])
async def test_two_currencies_that_were_only_asked_for_are_decided(operator: Operator, order: int, right: str) -> None:
    reports = [asked(700, "evt_eur"), asked(800, "evt_usd", "usd")]
    await deliver(operator, reports[::order], 1)
    ((_, _, known, _, reported),) = await operator.rows(OPEN)
    assert {known, reported} == {"EUR", "USD"}
    await decide(operator, (0, right))
    await deliver(operator, [asked(700, "evt_eur_2"), asked(800, "evt_usd_2", "usd")], 500)
    amount = 700 if right == "EUR" else 800
    assert await operator.rows(ROW) == [("pending", right, amount, 0, 0, False)]
    await operator.assert_sound()


async def test_another_amount_after_a_decision_is_open_again(operator: Operator) -> None:
    await deliver(operator, [LESS, MORE], 1)
    await decide(operator, (11050, "EUR"))
    await deliver(operator, [captured(12000, "evt_new")], 1)
    assert await operator.rows(ROW) == [("succeeded", "EUR", 12000, 12000, 0, False)]
    await decide(operator, (11050, "EUR"))
    assert await operator.rows(ROW) == [("succeeded", "EUR", 11050, 11050, 0, False)]


async def test_money_in_a_dismissed_currency_is_not_added_up(operator: Operator) -> None:
    await deliver(operator, [captured(700, "evt_eur"), refunded(300, "evt_usd", currency="usd")], 1)
    assert (await operator.say("resolve", "pi_1", "--keep", "reported")).code == 0
    assert await operator.rows(ROW) == [("succeeded", "EUR", 700, 700, 0, False)]
    await operator.assert_sound()


async def test_a_correction_is_shown_in_the_order_in_which_it_happened(operator: Operator) -> None:
    await deliver(operator, [LESS, MORE], 1)
    await decide(operator, (99900, "EUR"))
    document = (await operator.say("why", "pi_1", "--json")).json
    transfers = json.dumps(document)
    assert transfers.index("undone:") < transfers.index("decided:")


async def deliver(operator: Operator, events: Sequence[Event], batch_size: int) -> None:
    for event in events:
        await operator.workers.stream.publish(event)
    async with operator.workers.working(batch_size=batch_size):
        await operator.workers.drained()


async def decide(operator: Operator, right: Money) -> None:
    """Decide about each open conflict, and about those that this opens."""
    while conflicts := await operator.rows(OPEN):
        for id_, _, booked_currency, *reported in conflicts:
            keep = "reported" if tuple(reported) == right and booked_currency is not None else "booked"
            assert (await operator.say("resolve", str(id_), "--keep", keep)).code == 0
