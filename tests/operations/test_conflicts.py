"""A person's decision about what contradicts, and what was held back: what they see, and what is booked by it."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from consumers.handlers import load
from consumers.handlers.payments import builtin
from consumers.settings import Settings
from contract.accounts import PostingRules
from contract.event import Event
from operations import conflicts as resolve
from operations.cli.command import EXIT_UNREACHABLE, EXIT_WRONG
from tests.support import fact_handlers
from tests.support.consuming import Workers
from tests.support.events import contract_event, stripe_event
from tests.support.stream_states import Said, say, settings_for
from tests.support.wait import until

HANDLERS = "tests.support.fact_handlers:handlers"
SUCCEEDED, REFUND = "payment_intent.succeeded", "refund.created"
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
    """Stripe tells that a payment succeeded."""
    body = stripe_event(event_id, payment, amount=amount, currency=changes.pop("currency", "eur"))
    return contract_event(event_id, payment, body=json.dumps(body).encode(), **changes)


def refunded(
    amount: int, event_id: str, refund: str = "re_1", *, payment: str = "pi_1", currency: str = "eur"
) -> Event:
    """Stripe tells of a refund."""
    body = stripe_event(event_id, refund, REFUND, amount=amount, currency=currency,
                        fields={"object": "refund", "status": "succeeded", "payment_intent": payment})  # fmt: skip
    return contract_event(event_id, payment, type=REFUND, body=json.dumps(body).encode())


@pytest.fixture
async def operator(workers: Workers, settings: Settings, tmp_path: Path) -> "Operator":
    """Somebody on call, with handlers of their own."""
    await workers.connection.execute(fact_handlers.TABLE)
    own = {"handlers": HANDLERS, "sources_file": str(tmp_path / "sources.toml")}
    return Operator(workers, settings.model_copy(update=own))


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
        """Writes sources.toml."""
        Path(self.settings.sources_file).write_text(sources)

    async def assert_sound(self) -> None:
        assert await self.workers.findings() == []


STOPPED = [captured(700, "evt_700"), captured(800, "evt_800"), refunded(500, "evt_r1"), refunded(100, "evt_r2", "re_2")]


async def test_conflicts_are_shown_as_people_read_them(operator: Operator) -> None:
    assert (await operator.say("conflicts")).text == "No conflicts are open.\nNothing is held back.\n"
    await operator.apply(*STOPPED, captured(1, "evt_a", "pi_2"), captured(2, "evt_b", "pi_2"))
    shown = (await operator.say("conflicts")).text
    for text in ("stripe/pi_1", "capture:pi_1", "7.00 EUR", "8.00 EUR", "evt_800", "resolve ID --keep", "conflict"):
        assert text in shown
    assert "… and 1 more" in (await operator.say("conflicts", "--limit", "1")).text
    document = (await operator.say("conflicts", "--json")).json
    assert document["open"] == 2
    first = document["conflicts"][0]
    assert (first["booked_amount"], first["told_amount"], first["waiting"]) == (700, 800, 2)
    assert document["held_back"] == [{"source": "stripe", "reason": "conflict", "facts": 2}]
    status = await operator.say("status")
    assert "conflicts open" in status.text
    document = (await operator.say("status", "--json")).json["postgres"]
    assert document["conflicts_open"] == 2
    assert document["held_back"] == {"conflict": 2, "unsigned": 0}


RELEASED = [
    ("refund:re_1", *OUT, 500, "EUR", "evt_r1"),
    ("refund:re_2", *OUT, 100, "EUR", "evt_r2"),
]


@pytest.mark.parametrize("wanted", ["1", "pi_1"])
async def test_what_was_booked_stays_and_what_waited_is_released(operator: Operator, wanted: str) -> None:
    await operator.apply(*STOPPED)
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 800, 600)]
    said = await operator.say("resolve", wanted, "--keep", "booked")
    assert said.code == 0
    assert "8.00 EUR is dismissed" in said.text
    assert "moves again" in said.text
    assert await operator.rows(TRANSFERS) == [("capture:pi_1", *IN, 700, "EUR", "evt_700"), *RELEASED]
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 600)]
    assert await operator.rows(BALANCES) == [("merchant", "EUR", 100), ("provider:stripe", "EUR", -100)]
    assert all(row[-1] for row in await operator.rows(HELD))
    await operator.assert_sound()


async def test_what_was_told_is_booked_by_corrections(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    document = (await operator.say("resolve", "1", "--keep", "told", "--json")).json
    assert document == {
        "keep": "told", "decided": [1], "corrected": ["capture:pi_1"], "booked": ["refund:re_1", "refund:re_2"],
        "released": 2, "open": [],
    }  # fmt: skip
    assert await operator.rows(TRANSFERS) == [
        ("capture:pi_1", *IN, 700, "EUR", "evt_700"),
        ("decided:1", *IN, 800, "EUR", "evt_800"),
        *RELEASED,
        ("undone:1", *OUT, 700, "EUR", "evt_800"),
    ]
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 800, 600)]
    assert await operator.rows(BALANCES) == [("merchant", "EUR", 200), ("provider:stripe", "EUR", -200)]
    await operator.assert_sound()


async def test_handlers_are_told_once_of_what_was_released(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    before = [("evt_700", "authorized", "", 700, "EUR"), ("evt_700", "captured", "pi_1", 700, "EUR")]
    assert await operator.rows(HANDLED) == before
    await operator.say("resolve", "1", "--keep", "told")
    await operator.say("resolve", "1", "--keep", "told")
    await operator.apply(refunded(500, "evt_r1_again"), captured(800, "evt_800_again"))
    assert (await operator.rows(HANDLED))[len(before) :] == [
        ("evt_r1", "refunded", "re_1", 500, "EUR"), ("evt_r2", "refunded", "re_2", 100, "EUR"),
    ]  # fmt: skip
    assert await operator.rows("SELECT count(*) FROM handled_facts WHERE body_bytes = 0") == [(0,)]
    await operator.assert_sound()


async def test_an_event_whose_payload_is_gone_is_told_without_it(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    await operator.connection.execute("DELETE FROM payloads")
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert await operator.rows("SELECT event_id FROM handled_facts WHERE body_bytes = 0 ORDER BY number") == [
        ("evt_r1",), ("evt_r2",)]  # fmt: skip


# Movements that were not booked at all.

TWO_CURRENCIES = [captured(700, "evt_eur"), refunded(300, "evt_usd", currency="usd"), refunded(100, "evt_r2", "re_2")]


async def test_a_movement_that_was_not_booked_is_booked_under_its_own_name(operator: Operator) -> None:
    await operator.apply(*TWO_CURRENCIES)
    assert "nothing" in (await operator.say("conflicts")).text
    document = (await operator.say("resolve", "pi_1", "--keep", "told", "--json")).json
    assert (document["corrected"], document["booked"]) == ([], ["refund:re_1", "refund:re_2"])
    assert await operator.rows(TRANSFERS) == [
        ("capture:pi_1", *IN, 700, "EUR", "evt_eur"),
        ("refund:re_1", *OUT, 300, "USD", "evt_usd"),
        ("refund:re_2", *OUT, 100, "EUR", "evt_r2"),
    ]
    assert [row[:4] for row in await operator.rows(HANDLED)][-2:] == [
        ("evt_usd", "refunded", "re_1", 300), ("evt_r2", "refunded", "re_2", 100),
    ]  # fmt: skip
    await operator.assert_sound()


async def test_a_movement_that_was_not_booked_may_be_dismissed(operator: Operator) -> None:
    await operator.apply(*TWO_CURRENCIES)
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 100)]
    await operator.apply(refunded(300, "evt_usd_again", currency="usd"))
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 100)]
    await operator.assert_sound()


async def test_dismissing_the_only_movement_leaves_none(operator: Operator) -> None:
    usd = captured(700, "evt_usd", currency="usd")
    await operator.apply(contract_event("evt_created", type="payment_intent.created",
                                        body=captured(700, "evt_created").body), usd)  # fmt: skip
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [700]
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(TRANSFERS) == []
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [0]
    await operator.assert_sound()


@pytest.mark.parametrize("keep", ["booked", "told"])
async def test_two_currencies_without_money_are_acknowledged(operator: Operator, keep: str) -> None:
    story = [
        stripe_event("evt_eur", "pi_1", "payment_intent.created"),
        stripe_event("evt_usd", "pi_1", "payment_intent.processing", currency="usd"),
    ]
    bodies = [contract_event(e["id"], type=e["type"], body=json.dumps(e).encode()) for e in story]
    await operator.apply(*bodies, captured(1999, "evt_later"))
    assert "EUR" in (await operator.say("conflicts")).text
    said = await operator.say("resolve", "1", "--keep", keep)
    assert "acknowledged" in said.text
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_1"]
    await operator.assert_sound()


# Several decisions.


async def test_a_second_decision_corrects_what_stands(operator: Operator) -> None:
    await operator.apply(*(captured(amount, f"evt_{amount}") for amount in (700, 800)), captured(900, "evt_900"))
    said = await operator.say("resolve", "1", "--keep", "told")
    assert "still stopped: 2 open" in said.text
    ((booked, told_),) = await operator.rows("SELECT booked_amount, told_amount FROM conflicts WHERE decision IS NULL")
    assert (booked, told_) == (800, 900)
    assert (await operator.say("resolve", "2", "--keep", "told")).code == 0
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


async def test_which_of_several_tellings_is_right_is_not_guessed(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.apply(*(captured(amount, f"evt_{amount}") for amount in (700, 800, 900)))
    assert (await operator.say("resolve", "pi_1", "--keep", "told")).code == EXIT_WRONG
    assert "means the conflicts 1, 2: several things were told of capture:pi_1" in capsys.readouterr().err
    assert await operator.rows(DECISIONS) == [(1, None), (2, None)]
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(DECISIONS) == [(1, "booked"), (2, "booked")]
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [700]
    await operator.assert_sound()


async def test_a_payment_of_two_namespaces_is_not_guessed(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [captured(amount, f"evt_{amount}", namespace="other") for amount in (700, 800)]
    await operator.apply(*STOPPED, *other)
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == EXIT_WRONG
    assert "several namespaces" in capsys.readouterr().err


async def test_another_currency_is_booked_between_its_own_accounts(operator: Operator) -> None:
    own = PostingRules(accounts={"provider": "provider/{currency}", "merchant": "shop", "disputes": "lost"})
    await operator.apply(captured(700, "evt_eur"), captured(700, "evt_usd", currency="usd"), stripe=own)
    assert (await operator.say("resolve", "pi_1", "--keep", "told")).code == 0
    assert await operator.rows(BALANCES) == [
        ("provider/EUR", "EUR", 0), ("provider/USD", "USD", -700), ("shop", "EUR", 0), ("shop", "USD", 700),
    ]  # fmt: skip
    await operator.assert_sound()


async def test_what_is_released_and_contradicts_stops_the_payment_again(operator: Operator) -> None:
    waiting = [refunded(500, "evt_a"), refunded(600, "evt_b"), refunded(90, "evt_c", "re_3"), refunded(500, "evt_e")]
    await operator.apply(*STOPPED[:2], *waiting)
    said = await operator.say("resolve", "1", "--keep", "booked")
    assert said.code == 0
    assert "still stopped: 2 open" in said.text
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_1", "refund:re_1", "refund:re_3"]
    assert await operator.rows("SELECT movement, booked_amount, told_amount FROM conflicts WHERE id = 2") == [
        ("refund:re_1", 500, 600)]  # fmt: skip
    assert [row[0] for row in await operator.rows(HANDLED)].count("evt_a") == 1
    assert (await operator.say("resolve", "2", "--keep", "told")).code == 0
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 690)]
    assert all(row[-1] for row in await operator.rows(HELD))


async def test_a_movement_that_is_another_payment_s_stays_that_one_s(operator: Operator) -> None:
    await operator.apply(refunded(500, "evt_a"), refunded(500, "evt_b", payment="pi_2"))
    assert (await operator.say("resolve", "pi_2", "--keep", "told")).code == EXIT_WRONG
    assert (await operator.say("resolve", "pi_2", "--keep", "booked")).code == 0
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["refund:re_1"]
    assert await operator.rows(PAYMENTS) == [("pi_1", "refunded", 0, 500), ("pi_2", "pending", 0, 0)]
    await operator.assert_sound()


# What goes wrong.


async def test_a_handler_that_fails_undoes_the_decision(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    await operator.apply(*STOPPED)
    before = await operator.rows(TRANSFERS), await operator.rows(PAYMENTS), await operator.rows(HELD)
    await operator.connection.execute("ALTER TABLE handled_facts ADD CONSTRAINT small CHECK (object <> 're_2')")
    assert (await operator.say("resolve", "1", "--keep", "told")).code == EXIT_WRONG
    error = capsys.readouterr().err
    assert "Nothing was decided: a handler failed: CheckViolationError" in error
    assert len(error.splitlines()) == 1
    assert (await operator.rows(TRANSFERS), await operator.rows(PAYMENTS), await operator.rows(HELD)) == before
    assert await operator.rows(DECISIONS) == [(1, None)]
    await operator.connection.execute("ALTER TABLE handled_facts DROP CONSTRAINT small")
    assert (await operator.say("resolve", "1", "--keep", "told")).code == 0
    assert [row[1:3] for row in await operator.rows(HANDLED)][-2:] == [("refunded", "re_1"), ("refunded", "re_2")]


async def test_a_decision_is_made_once(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == EXIT_WRONG
    assert "There is no open conflict with the number or payment id '1'" in capsys.readouterr().err
    await operator.apply(*STOPPED)
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert (await operator.say("resolve", "1", "--keep", "told")).code == EXIT_WRONG
    assert "decided already" in capsys.readouterr().err
    assert await operator.rows(DECISIONS) == [(1, "booked")]


async def test_a_number_is_a_conflict_before_it_is_a_payment(operator: Operator) -> None:
    await operator.apply(*STOPPED[:2], *(captured(amount, f"evt_1_{amount}", "1") for amount in (700, 800)))
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert await operator.rows(DECISIONS) == [(1, "booked"), (2, None)]
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert await operator.rows(DECISIONS) == [(1, "booked"), (2, "booked")]


async def test_settings_that_cannot_be_used_are_exit_2(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    unloadable = operator.settings.model_copy(update={"handlers": "no.such:handlers"})
    assert (await say(unloadable, "resolve", "1", "--keep", "told")).code == 2
    assert "Nothing was decided." in capsys.readouterr().err
    operator.trust("[")
    assert (await operator.say("release", "stripe")).code == 2
    assert "Nothing was released." in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["resolve", "1"], ["resolve", "1", "--keep", "both"], ["resolve"], ["release"]])
async def test_what_is_right_has_to_be_said(settings: Settings, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        await say(settings, *argv)
    assert stopped.value.code == 2


@pytest.mark.parametrize("argv", [["conflicts"], ["resolve", "1", "--keep", "told"], ["release", "stripe"]])
async def test_a_server_that_is_away_is_exit_3(operator: Operator, argv: list[str]) -> None:
    operator.trust()
    nowhere = settings_for("redis://127.0.0.1:1", "postgresql://127.0.0.1:1/x", "any")
    away = nowhere.model_copy(update={"sources_file": operator.settings.sources_file})
    assert (await say(away, *argv)).code == EXIT_UNREACHABLE


# Beside others.


async def test_of_several_who_decide_one_does(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    said = await asyncio.gather(*(operator.say("resolve", "1", "--keep", keep) for keep in ("told", "booked") * 3))
    assert sorted(each.code for each in said) == [0] + [EXIT_WRONG] * 5
    assert [row[0] for row in await operator.rows(HANDLED)].count("evt_r1") == 1
    await operator.assert_sound()


async def test_a_decision_beside_working_workers(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    handlers = load(HANDLERS, builtin({}), "")
    async with operator.workers.working(handlers, batch_size=2), operator.workers.working(handlers, batch_size=3):
        more = [refunded(1, f"evt_more_{number}", f"re_more_{number}") for number in range(30)]
        for event in more[:15]:
            await operator.workers.stream.publish(event)
        deciding = asyncio.create_task(operator.say("resolve", "pi_1", "--keep", "told"))
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


async def test_a_decision_waits_for_whoever_works_on_the_payment(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    async with operator.connection.transaction():
        await operator.connection.execute(resolve.EVENTS["lock_resources"], ["stripe"], ["pi_1"])
        deciding = asyncio.create_task(operator.say("resolve", "1", "--keep", "booked"))

        async def waits() -> bool:
            return bool(await operator.connection.fetchval(WAITING))

        await until(waits, what="the decision waits for the payment")
        await operator.connection.execute("UPDATE conflicts SET decision = 'told', decided_at = now()")
    assert (await deciding).code == EXIT_WRONG


# What is not signed.


def unsigned(*events: Event) -> list[Event]:
    return [
        contract_event(e.event_id, e.resource, type=e.type, body=e.body, namespace=e.namespace, signed="weak")
        for e in events
    ]


async def test_nothing_is_released_of_a_source_that_is_not_trusted(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    await operator.apply(*unsigned(captured(700, "evt_1")))
    assert "release SOURCE" in (await operator.say("conflicts")).text
    assert (await operator.say("release", "stripe")).code == EXIT_WRONG
    assert "has no such source" in capsys.readouterr().err
    operator.trust('[stripe]\nprovider = "stripe"\n')
    assert (await operator.say("release", "stripe")).code == EXIT_WRONG
    assert 'its trust is "signed"' in capsys.readouterr().err
    assert await operator.rows(TRANSFERS) == []


async def test_what_was_held_back_of_a_trusted_source_is_booked(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "EVENTS_AT_ONCE", 2)
    story = [captured(700, f"evt_{number}", f"pi_{number}") for number in range(4)]
    again = captured(700, "evt_again", "pi_0")
    await operator.apply(*unsigned(*story, again, refunded(200, "evt_refund", payment="pi_0")))
    operator.trust()
    document = (await operator.say("release", "stripe", "--json")).json
    assert document == {"released": 6, "booked": 5, "conflicts": 0, "failed": []}
    assert await operator.rows(PAYMENTS) == [
        ("pi_0", "partially_refunded", 700, 200), *((f"pi_{number}", "succeeded", 700, 0) for number in (1, 2, 3)),
    ]  # fmt: skip
    counted = "SELECT kind, count(*), count(DISTINCT key) FROM handled_facts GROUP BY kind ORDER BY kind"
    assert await operator.rows(counted) == [
        ("authorized", 4, 4), ("captured", 4, 4), ("refunded", 1, 1)]  # fmt: skip
    assert all(row[-1] for row in await operator.rows(HELD))
    await operator.assert_sound()
    assert "Nothing more" in (await operator.say("release", "stripe")).text
    assert (await operator.say("conflicts")).text.endswith("Nothing is held back.\n")


async def test_what_contradicts_in_a_release_waits_for_a_decision(operator: Operator) -> None:
    await operator.apply(*unsigned(*STOPPED[:2]))
    operator.trust()
    said = await operator.say("release", "stripe")
    assert "2 events of source 'stripe' are released; 1 movements were booked." in said.text
    assert "1 contradictions" in said.text
    await operator.connection.execute("UPDATE held_back SET released_at = now()")
    await operator.apply(*unsigned(*STOPPED[2:]))
    assert (await operator.say("release", "stripe")).code == 0
    assert [row[:3] + row[4:] for row in await operator.rows(HELD)][-2:] == [
        ("conflict", "refunded", "re_1", False), ("conflict", "refunded", "re_2", False)]  # fmt: skip
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 600)]
    assert [row[0] for row in await operator.rows(HANDLED)][-2:] == ["evt_r1", "evt_r2"]
    await operator.assert_sound()


async def test_what_fails_in_a_release_stays_held_back_and_stops_nothing(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    story = [captured(700, f"evt_{number}", f"pi_{number}") for number in range(5)]
    await operator.apply(*unsigned(*story))
    operator.trust()
    await operator.connection.execute("ALTER TABLE handled_facts ADD CONSTRAINT small CHECK (event_id <> 'evt_1')")
    await operator.connection.execute("DELETE FROM payloads WHERE event_id = 'evt_3'")
    await operator.connection.execute("UPDATE payloads SET body = '{}' WHERE event_id = 'evt_4'")
    said = await operator.say("release", "stripe")
    assert said.code == EXIT_WRONG
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("evt_1 stays held back: a handler failed: CheckViolationError")
    assert second == "evt_3 stays held back: its payload is not kept any more, so that it cannot be read again."
    assert third.startswith("evt_4 stays held back: the body is not what its provider documents")
    assert [row[0] for row in await operator.rows(PAYMENTS)] == ["pi_0", "pi_2"]
    assert await operator.rows("SELECT DISTINCT event_id FROM held_back WHERE released_at IS NULL ORDER BY 1") == [
        ("evt_1",), ("evt_3",), ("evt_4",)]  # fmt: skip
    await operator.assert_sound()


async def test_two_who_release_the_same_book_it_once(operator: Operator) -> None:
    await operator.apply(*unsigned(*(captured(700, f"evt_{number}", f"pi_{number}") for number in range(5))))
    operator.trust()
    said = await asyncio.gather(*(operator.say("release", "stripe", "--json") for _ in range(3)))
    assert sorted(each.json["released"] for each in said) == [0, 0, 5]
    assert await operator.rows("SELECT count(*) FROM handled_facts WHERE kind = 'captured'") == [(5,)]
    await operator.assert_sound()
