"""Several conflicts of one payment, decisions that are ambiguous, and several operators at once."""

import asyncio

import pytest

from consumers.handlers import load
from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from operations import payment_acts
from operations.cli.command import EXIT_WRONG
from tests.support.operator_commands import (
    BALANCES,
    DECISIONS,
    HANDLED,
    HANDLERS,
    HELD,
    PAYMENTS,
    STOPPED,
    TRANSFERS,
    Operator,
    captured,
    refunded,
)
from tests.support.wait import until


async def test_a_second_decision_corrects_the_first_correction(operator: Operator) -> None:
    await operator.apply(*(captured(amount, f"evt_{amount}") for amount in (700, 800)), captured(900, "evt_900"))
    said = await operator.say("resolve", "1", "--keep", "reported")
    assert "still stopped: 2 open" in said.text
    ((booked, reported),) = await operator.rows(
        "SELECT booked_amount, reported_amount FROM conflicts WHERE decision IS NULL"
    )
    assert (booked, reported) == (800, 900)
    assert (await operator.say("resolve", "2", "--keep", "reported")).code == 0
    amounts = "SELECT movement, debit_account, amount FROM transfers ORDER BY movement"
    assert await operator.rows(amounts) == [
        ("capture:pi_1", "provider:stripe", 700), ("decided:1", "provider:stripe", 800),
        ("decided:2", "provider:stripe", 900), ("undone:1", "merchant", 700), ("undone:2", "merchant", 800),
    ]  # fmt: skip
    assert await operator.rows(BALANCES) == [("merchant", "EUR", 900), ("provider:stripe", "EUR", -900)]
    await operator.apply(*(captured(amount, f"evt_{amount}_again") for amount in (700, 800, 900)))
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [900]
    await operator.assert_sound()
    await operator.apply(captured(950, "evt_950"))
    assert await operator.rows("SELECT booked_amount FROM conflicts WHERE decision IS NULL") == [(900,)]
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [950]


async def test_which_of_several_reported_amounts_is_right_is_not_guessed(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.apply(*(captured(amount, f"evt_{amount}") for amount in (700, 800, 900)))
    assert (await operator.say("resolve", "pi_1", "--keep", "reported")).code == EXIT_WRONG
    assert "means the conflicts 1, 2: several amounts were reported for capture:pi_1" in capsys.readouterr().err
    assert await operator.rows(DECISIONS) == [(1, None), (2, None)]
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(DECISIONS) == [(1, "booked"), (2, "booked")]
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [700]
    await operator.assert_sound()


async def test_the_namespace_of_a_payment_is_not_guessed(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [captured(amount, f"evt_{amount}", namespace="other") for amount in (700, 800)]
    await operator.apply(*STOPPED, *other)
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == EXIT_WRONG
    assert "several namespaces" in capsys.readouterr().err


async def test_another_currency_is_booked_between_its_own_accounts(operator: Operator) -> None:
    own = PostingRules(accounts={"provider": "provider/{currency}", "merchant": "shop", "disputes": "lost"})
    await operator.apply(captured(700, "evt_eur"), captured(700, "evt_usd", currency="usd"), stripe=own)
    assert (await operator.say("resolve", "pi_1", "--keep", "reported")).code == 0
    assert await operator.rows(BALANCES) == [
        ("provider/EUR", "EUR", 0), ("provider/USD", "USD", -700), ("shop", "EUR", 0), ("shop", "USD", 700),
    ]  # fmt: skip
    await operator.assert_sound()


async def test_a_released_fact_that_contradicts_stops_the_payment_again(operator: Operator) -> None:
    waiting = [refunded(500, "evt_a"), refunded(600, "evt_b"), refunded(90, "evt_c", "re_3"), refunded(500, "evt_e")]
    await operator.apply(*STOPPED[:2], *waiting)
    said = await operator.say("resolve", "1", "--keep", "booked")
    assert said.code == 0
    assert "still stopped: 2 open" in said.text
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_1", "refund:re_1", "refund:re_3"]
    assert await operator.rows("SELECT movement, booked_amount, reported_amount FROM conflicts WHERE id = 2") == [
        ("refund:re_1", 500, 600)]  # fmt: skip
    assert [row[0] for row in await operator.rows(HANDLED)].count("evt_a") == 1
    assert (await operator.say("resolve", "2", "--keep", "reported")).code == 0
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 690)]
    assert all(row[-1] for row in await operator.rows(HELD))


async def test_a_transfer_booked_for_another_payment_stays_there(operator: Operator) -> None:
    await operator.apply(refunded(500, "evt_a"), refunded(500, "evt_b", payment="pi_2"))
    assert (await operator.say("resolve", "pi_2", "--keep", "reported")).code == EXIT_WRONG
    assert (await operator.say("resolve", "pi_2", "--keep", "booked")).code == 0
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["refund:re_1"]
    assert await operator.rows(PAYMENTS) == [("pi_1", "refunded", 0, 500), ("pi_2", "pending", 0, 0)]
    await operator.assert_sound()


async def test_of_several_operators_exactly_one_decides(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    said = await asyncio.gather(*(operator.say("resolve", "1", "--keep", keep) for keep in ("reported", "booked") * 3))
    assert sorted(each.code for each in said) == [0] + [EXIT_WRONG] * 5
    assert [row[0] for row in await operator.rows(HANDLED)].count("evt_r1") == 1
    await operator.assert_sound()


async def test_a_decision_is_made_while_workers_are_working(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    handlers = load(HANDLERS, builtin({}), "")
    async with operator.workers.working(handlers, batch_size=2), operator.workers.working(handlers, batch_size=3):
        more = [refunded(1, f"evt_more_{number}", f"re_more_{number}") for number in range(30)]
        for event in more[:15]:
            await operator.workers.stream.publish(event)
        deciding = asyncio.create_task(operator.say("resolve", "pi_1", "--keep", "reported"))
        for event in more[15:]:
            await operator.workers.stream.publish(event)
        assert (await deciding).code == 0
        await operator.workers.drained()
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 800, 630)]
    assert await operator.rows("SELECT count(*), count(DISTINCT key) FROM handled_facts WHERE kind = 'refunded'") == [
        (32, 32)
    ]
    await operator.assert_sound()


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_a_decision_waits_for_the_lock_of_the_payment(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    async with operator.connection.transaction():
        lock = payment_acts.EVENTS.bind("lock_resources", namespace=["stripe"], resource=["pi_1"])
        await operator.connection.execute(*lock)
        deciding = asyncio.create_task(operator.say("resolve", "1", "--keep", "booked"))

        async def waits() -> bool:
            return bool(await operator.connection.fetchval(WAITING))

        await until(waits, what="the decision waits for the payment's lock")
        await operator.connection.execute("UPDATE conflicts SET kept = 'reported', decided_at = now()")
    assert (await deciding).code == EXIT_WRONG
