"""An event is asked about as soon as it is read. What was answered is booked once the event is committed, or never."""

import asyncio
from functools import partial

import pytest

from consumers.confirmation.asker import IN_HAND_FACTOR, in_hand_max
from consumers.handlers import Connection, Event, Handlers, Reject
from providers.api import Limits
from tests.support.confirming import Asking
from tests.support.operator_commands import captured, unsigned
from tests.support.wait import until

FIRST, PAID, OTHER = unsigned(captured(100, "evt_0", "pi_0"), captured(700, "evt_1"), captured(300, "evt_2", "pi_2"))
BOOKED_FIRST = ("capture:pi_0", 100, "EUR")


async def looked(asking: Asking) -> None:
    """Let the worker find that nothing more is due: from then on it takes what it records."""
    asking.api.has(FIRST, PAID, OTHER)
    await asking.publish(FIRST)
    await asking.decided(evt_0="confirmed")
    asking.api.requests.clear()


def handling(event_id: str, wait: asyncio.Event | None = None) -> Handlers:
    """Return a handler that keeps the transaction of an event open, or refuses the event."""
    handlers = Handlers()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def handle(_: Connection, event: Event) -> None:
        if event.event_id.startswith(event_id):
            if wait is None:
                raise Reject("not this one")
            await wait.wait()

    return handlers


async def test_what_is_answered_before_the_commit_is_booked_after_it(asking: Asking) -> None:
    may_commit = asyncio.Event()
    async with asking.working(handling("evt_1", may_commit), handler_timeout_s=30) as running:
        await looked(asking)
        await asking.publish(PAID)
        await until(lambda: asking.api.requests, what="it is asked while its transaction is open")
        assert await asking.workers.events() == ["evt_0"]
        may_commit.set()
        await asking.decided(evt_0="confirmed", evt_1="confirmed")
        assert running.counted("confirmations_total{") == 2
    assert await asking.transfers() == [BOOKED_FIRST, ("capture:pi_1", 700, "EUR")]
    assert len(asking.api.requests) == 1
    await asking.assert_sound()


async def test_what_is_rolled_back_is_never_booked(asking: Asking) -> None:
    async with asking.working(handling("evt_1")):
        await looked(asking)
        await asking.publish(PAID, OTHER)
        await asking.decided(evt_0="confirmed", evt_2="confirmed")
        await until(asking.workers.dead, what="the other is a dead letter")
    assert {path.rpartition("/")[2] for path in asking.api.paths} == {"pi_1", "pi_2"}
    assert await asking.transfers() == [BOOKED_FIRST, ("capture:pi_2", 300, "EUR")]
    assert await asking.workers.events() == ["evt_0", "evt_2"]


async def test_events_that_are_never_recorded_take_no_room_from_others(asking: Asking) -> None:
    refused = unsigned(*(captured(100, f"evt_bad{number}", f"pi_bad{number}") for number in range(2 * IN_HAND_FACTOR)))
    async with asking.working(handling("evt_bad"), confirm_concurrent=1, confirm_timeout_s=60):
        await looked(asking)
        for event in refused:
            await asking.publish(event)
            await until(partial(is_dead, asking, event), what="it is a dead letter")
        await asking.publish(PAID)
        await asking.decided(evt_0="confirmed", evt_1="confirmed")
    assert len(asking.api.requests) == len(refused) + 1


async def test_an_answer_about_another_event_of_the_same_id_is_not_booked(asking: Asking) -> None:
    """What was answered about the one that was refused must not be booked for the one that is recorded."""
    (forged,) = unsigned(captured(666, "evt_1", "pi_forged"))
    asking.api.has(forged)
    handlers = Handlers()

    @handlers.on("stripe", "payment_intent.succeeded")
    async def refuse(_: Connection, event: Event) -> None:
        if event.resource == "pi_forged":
            raise Reject("not this one")

    async with asking.working(handlers, confirm_concurrent=1, confirm_timeout_s=60):
        await looked(asking)
        asking.api.gate.clear()
        await asking.publish(forged)
        await until(partial(is_dead, asking, forged), what="it is a dead letter")
        await asking.publish(OTHER, PAID)
        await asking.workers.drained()
        asking.api.gate.set()
        await asking.decided(evt_0="confirmed", evt_1="confirmed", evt_2="confirmed")
    assert await asking.transfers() == [BOOKED_FIRST, ("capture:pi_1", 700, "EUR"), ("capture:pi_2", 300, "EUR")]


async def is_dead(asking: Asking, event: Event) -> bool:
    return event.event_id in {row[0] for row in await asking.workers.dead()}


async def test_a_slow_event_that_leaves_its_batch_is_asked_about_once_and_booked_with_its_own_commit(
    asking: Asking,
) -> None:
    may_commit = asyncio.Event()
    async with asking.working(handling("evt_1", may_commit), handler_timeout_s=30, confirm_timeout_s=10):
        await looked(asking)
        await asking.publish(PAID, OTHER)
        await asking.decided(evt_0="confirmed", evt_2="confirmed")
        assert await asking.workers.events() == ["evt_0", "evt_2"]
        may_commit.set()
        await asking.decided(evt_0="confirmed", evt_1="confirmed", evt_2="confirmed")
    assert sorted(asking.api.paths) == ["/v1/payment_intents/pi_1", "/v1/payment_intents/pi_2"]
    await asking.assert_sound()


async def test_its_row_is_claimed_in_the_transaction_that_records_it(asking: Asking) -> None:
    async with asking.working(confirm_timeout_s=20):
        await looked(asking)
        asking.api.gate.clear()
        await asking.publish(PAID)
        await until(lambda: asking.workers.rows("SELECT FROM events WHERE event_id = 'evt_1'"), what="it is recorded")
        (claimed,) = await asking.workers.rows(
            "SELECT claimed_by IS NOT NULL, extract(epoch FROM next_at - recorded_at)::integer FROM confirmations "
            "WHERE state = 'due'"
        )
        assert claimed == (True, 60)
        asking.api.gate.set()
        await asking.decided(evt_0="confirmed", evt_1="confirmed")
    assert len(asking.api.requests) == 1


async def test_what_there_is_no_room_for_waits_in_postgres(asking: Asking) -> None:
    many = unsigned(*(captured(100, f"evt_{number}", f"pi_{number}") for number in range(3, 20)))
    asking.api.has(*many)
    async with asking.working(confirm_concurrent=1, batch_size=4, confirm_timeout_s=20):
        await looked(asking)
        asking.api.gate.clear()
        await asking.publish(*many)
        await asking.workers.drained()
        (free,) = await asking.workers.row(
            "SELECT count(*) FROM confirmations WHERE state = 'due' AND claimed_by IS NULL"
        )
        assert free == len(many) - IN_HAND_FACTOR
        asking.api.gate.set()
        await asking.decided(evt_0="confirmed", **{event.event_id: "confirmed" for event in many})
    await asking.assert_sound()


@pytest.mark.parametrize(("limits", "number"), [((10, 8, 20), 16), ((10, 64, 0.5), 5), ((1, 8, 0.1), 1)])
def test_no_more_is_in_hand_than_can_be_asked_about_in_time(limits: tuple[float, int, float], number: int) -> None:
    timeout_s, concurrent, per_s = limits
    assert in_hand_max(Limits(timeout_s, 1, concurrent, per_s)) == number
