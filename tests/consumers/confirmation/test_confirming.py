"""What no signature proves is asked of the provider's API, and booked as it says; a forged body moves nothing."""

import json
from typing import Any

import pytest

from consumers.confirmation.access import Access
from consumers.handlers import Connection, Event, Handlers, PaymentFact, Reject
from tests.support.confirming import Asking
from tests.support.events import contract_event, stripe_event
from tests.support.operator_commands import captured, refunded, unsigned
from tests.support.stand_ins.objects import ObjectsApi
from tests.support.stand_ins.stand_in import status
from tests.support.wait import until

(PAID,) = unsigned(captured(700, "evt_1"))
(REFUND,) = unsigned(refunded(200, "evt_r1"))


def forged(event_id: str = "evt_1", **fields: Any) -> Event:
    """Return an event that says something else than the one about pi_1 that the API knows."""
    body = stripe_event(event_id, "pi_1", amount=fields.pop("amount", 700), currency=fields.pop("currency", "eur"),
                        fields=fields)  # fmt: skip
    return contract_event(event_id, "pi_1", body=json.dumps(body).encode(), signed="weak")


async def test_what_the_api_confirms_is_booked_and_released(asking: Asking) -> None:
    asking.api.has(PAID, REFUND)
    await asking.publish(PAID, REFUND)
    async with asking.working() as running:
        await asking.decided(evt_1="confirmed", evt_r1="confirmed")
        await until(lambda: running.counted("confirmations_total{") == 2, what="both are counted")
    assert await asking.transfers() == [("capture:pi_1", 700, "EUR"), ("refund:re_1", 200, "EUR")]
    assert await asking.on_hold() == []
    assert await asking.workers.row("SELECT signed FROM events WHERE event_id = 'evt_1'") == ("weak",)
    kept = await asking.workers.row(
        "SELECT answered::jsonb ->> 0 IS NOT NULL, fetched IS NOT NULL, fetched_type, tries, reason FROM confirmations "
        "WHERE event_id = 'evt_1'"
    )
    assert kept == (True, True, "payment_intent.succeeded", 1, "")
    await asking.assert_sound()


async def test_until_it_is_confirmed_nothing_is_booked(asking: Asking) -> None:
    asking.api.has(PAID)
    asking.api.gate.clear()
    await asking.publish(PAID)
    async with asking.working():
        await until(lambda: asking.api.requests, what="it is asked")
        await until(asking.on_hold, what="it is recorded")
        assert await asking.transfers() == []
        assert await asking.on_hold() == ["evt_1"]
        assert await asking.workers.events() == ["evt_1"]
        asking.api.gate.set()
        await asking.decided(evt_1="confirmed")
    await asking.assert_sound()


FORGERIES: dict[str, dict[str, Any]] = {
    "a larger amount": {"amount": 70_000},
    "a smaller amount": {"amount": 7},
    "another currency": {"currency": "usd"},
}


@pytest.mark.parametrize("what", FORGERIES)
async def test_a_forged_body_moves_nothing_and_is_recorded_with_both_sides(asking: Asking, what: str) -> None:
    asking.api.has(PAID)
    await asking.publish(forged(**FORGERIES[what]))
    async with asking.working(confirm_lag_s=0) as running:
        await asking.decided(evt_1="disagrees")
        await until(lambda: running.counted('confirmations_total{outcome="disagrees"') == 1, what="it is counted")
    assert await asking.transfers() == []
    assert await asking.on_hold() == ["evt_1"]
    reason, reported, answered = await asking.workers.row("SELECT reason, reported, answered FROM confirmations")
    assert reason.startswith("the event reports ")
    assert "; the API says " in reason
    assert json.loads(reported) != json.loads(answered)
    assert {"kind": "captured", "object": "pi_1", "amount": 700, "currency": "EUR"} in json.loads(answered)
    await asking.assert_sound()


async def test_an_invented_id_moves_nothing(asking: Asking) -> None:
    asking.api.has(PAID)
    (invented,) = unsigned(captured(700, "evt_2", "pi_2"))
    await asking.publish(invented)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(evt_2="not_found")
    assert await asking.transfers() == []
    await asking.assert_sound()


async def test_the_object_of_another_payment_moves_nothing(asking: Asking) -> None:
    """The refund is real, but its payment is another one than the event says."""
    (other,) = unsigned(refunded(200, "evt_r1", payment="pi_other"))
    asking.api.has(REFUND)
    await asking.publish(other)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(evt_r1="not_found")
    assert await asking.transfers() == []


async def test_an_api_that_lags_behind_its_webhooks_is_asked_again(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.confirmation.decisions.AGAIN_S_MIN", 0.05)
    asking.api.has(PAID)
    asking.api.lag = 3
    await asking.publish(PAID)
    async with asking.working():
        await asking.decided(evt_1="confirmed")
    assert len(asking.api.requests) == 4
    assert await asking.workers.row("SELECT tries FROM confirmations") == (4,)


async def test_an_answer_that_is_older_than_the_event_is_asked_for_again(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.confirmation.decisions.AGAIN_S_MIN", 0.05)
    asking.api.has(PAID, status="processing", amount_received=0)
    await asking.publish(PAID)
    async with asking.working():
        await until(lambda: len(asking.api.requests) > 1, what="it is asked again")
        assert await asking.states() == {"evt_1": "due"}
        asking.api.has(PAID)
        await asking.decided(evt_1="confirmed")
    assert await asking.transfers() == [("capture:pi_1", 700, "EUR")]


@pytest.mark.parametrize("changes", [{"amount_received": "seven"}, {"currency": None}])
async def test_an_answer_that_cannot_be_read_is_recorded_in_the_end(asking: Asking, changes: dict[str, Any]) -> None:
    asking.api.has(PAID, **changes)
    await asking.publish(PAID)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(evt_1="failed")
    reason = (await asking.workers.row("SELECT reason FROM confirmations"))[0]
    assert reason.startswith("what the API says cannot be read")
    assert await asking.transfers() == []
    await asking.assert_sound()


async def test_an_api_that_answers_html_is_not_believed(asking: Asking) -> None:
    asking.api.has(PAID)
    asking.api.mishaps.append(status(400))
    await asking.publish(PAID)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(evt_1="failed")
    assert await asking.transfers() == []


async def test_a_bug_in_asking_is_recorded_in_the_end(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(*_: object) -> None:
        raise KeyError("jane@example.com")

    monkeypatch.setattr(ObjectsApi, "fetch", fetch)
    await asking.publish(PAID)
    async with asking.working(confirm_not_found_s=0):
        await asking.decided(evt_1="failed")
    assert await asking.workers.row("SELECT reason FROM confirmations") == ("asking about it has a bug (KeyError)",)


async def test_events_of_other_sources_never_wait_for_an_api(asking: Asking) -> None:
    asking.api.gate.clear()
    proven = captured(500, "evt_p", "pi_p")
    await asking.publish(PAID, proven)
    async with asking.working():
        await until(lambda: asking.api.requests, what="it is asked")
        await asking.workers.drained()
        assert await asking.transfers() == [("capture:pi_p", 500, "EUR")]
        asking.api.gate.set()
    assert await asking.workers.rows("SELECT event_id FROM confirmations") == [("evt_1",)]


async def test_one_object_is_fetched_once_for_several_events_that_were_there(asking: Asking) -> None:
    same = [
        contract_event(f"evt_{number}", "pi_1", body=PAID.body, type=PAID.type, signed="weak") for number in range(6)
    ]
    asking.api.has(PAID)
    await asking.publish(*same)
    async with asking.workers.working(asking.handlers):  # recorded by a worker that does not ask
        await asking.workers.drained()
    async with asking.working():
        await asking.decided(**{f"evt_{number}": "confirmed" for number in range(6)})
    assert len(asking.api.requests) == 1
    assert await asking.transfers() == [("capture:pi_1", 700, "EUR")]
    await asking.assert_sound()


async def test_events_held_back_before_are_asked_about_too(asking: Asking) -> None:
    asking.api.has(PAID)
    await asking.publish(PAID)
    async with asking.workers.working():  # a worker of a source without confirm
        await asking.workers.drained()
    assert await asking.states() == {}
    async with asking.working():
        await asking.decided(evt_1="confirmed")
    assert await asking.on_hold() == []
    await asking.assert_sound()


async def test_handlers_are_called_once_with_what_the_api_says(asking: Asking) -> None:
    handlers, calls = Handlers(), list[tuple[str, int, str]]()

    @handlers.on_fact("captured")
    async def on_captured(_: Connection, event: Event, fact: PaymentFact) -> None:
        calls.append((event.event_id, fact.amount, event.signed))

    asking.api.has(PAID)
    await asking.publish(PAID)
    async with asking.working(handlers):
        await asking.decided(evt_1="confirmed")
    assert calls == [("evt_1", 700, "api")]


async def test_a_handler_that_rejects_leaves_the_money_on_hold_with_its_reason(asking: Asking) -> None:
    handlers = Handlers()

    @handlers.on_fact("captured")
    async def refuse(_: Connection, __: Event, ___: PaymentFact) -> None:
        raise Reject("no such order")

    asking.api.has(PAID)
    await asking.publish(PAID)
    async with asking.working(handlers):
        await asking.decided(evt_1="failed")
    assert await asking.transfers() == []
    assert "no such order" in (await asking.workers.row("SELECT reason FROM confirmations"))[0]
    await asking.assert_sound()


async def test_a_handler_that_fails_is_called_again(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.confirmation.decisions.AGAIN_S_MIN", 0.02)
    handlers, left = Handlers(), 2

    @handlers.on_fact("captured")
    async def fail(_: Connection, __: Event, ___: PaymentFact) -> None:
        nonlocal left
        if left:
            left -= 1
            raise ValueError("not now")

    asking.api.has(PAID, REFUND)
    await asking.publish(PAID, REFUND)
    async with asking.working(handlers):
        await asking.decided(evt_1="confirmed", evt_r1="confirmed")
    assert await asking.transfers() == [("capture:pi_1", 700, "EUR"), ("refund:re_1", 200, "EUR")]


async def test_an_event_of_the_other_mode_is_not_asked_about(asking: Asking) -> None:
    asking.api.has(PAID)
    await asking.publish(contract_event("evt_1", "pi_1", body=PAID.body, signed="weak", mode="test"))
    async with asking.working():
        await asking.workers.drained()
    assert await asking.states() == {}
    assert asking.api.requests == []


async def test_many_events_are_each_booked_once_by_several_workers(asking: Asking) -> None:
    events = unsigned(*(captured(700, f"evt_{number}", f"pi_{number}") for number in range(60)))
    asking.api.has(*events)
    await asking.publish(*events)
    second = Access({"stripe": ObjectsApi(asking.access.apis["stripe"].access)})
    other = Asking(asking.workers, asking.settings, second, asking.api)
    async with asking.working(), other.working():
        await asking.decided(**{event.event_id: "confirmed" for event in events})
    assert len(await asking.transfers()) == 60
    await asking.assert_sound()


async def test_a_claim_of_a_worker_that_left_is_taken_over_at_once(asking: Asking) -> None:
    asking.api.has(PAID)
    asking.api.gate.clear()
    await asking.publish(PAID)
    async with asking.working(confirm_timeout_s=60):
        await until(lambda: asking.api.requests, what="it is asked")
    assert await asking.workers.rows("SELECT claimed_by FROM confirmations WHERE next_at <= now()") == [(None,)]
    asking.api.gate.set()
    second = Access({"stripe": ObjectsApi(asking.access.apis["stripe"].access)})
    async with Asking(asking.workers, asking.settings, second, asking.api).working():
        await asking.decided(evt_1="confirmed")


async def test_a_worker_without_apis_writes_nothing_more(asking: Asking) -> None:
    await asking.publish(PAID)
    async with asking.workers.working():
        await asking.workers.drained()
    assert await asking.states() == {}
    assert await asking.on_hold() == ["evt_1"]
    await asking.assert_sound()
