"""Conflicts are listed, and a person's decision books what is right and releases what waited."""

import json

import pytest

from tests.support.events import contract_event, stripe_event
from tests.support.operator_commands import (
    BALANCES,
    HANDLED,
    HELD,
    IN,
    OUT,
    PAYMENTS,
    STOPPED,
    TRANSFERS,
    Operator,
    captured,
    refunded,
)


async def test_conflicts_and_held_back_facts_are_listed(operator: Operator) -> None:
    assert (await operator.say("conflicts")).text == "No conflicts are open.\nNothing is on hold.\n"
    await operator.apply(*STOPPED, captured(1, "evt_a", "pi_2"), captured(2, "evt_b", "pi_2"))
    shown = (await operator.say("conflicts")).text
    for text in ("stripe/pi_1", "capture:pi_1", "7.00 EUR", "8.00 EUR", "evt_800", "resolve ID --keep", "conflict"):
        assert text in shown
    assert "… and 1 more" in (await operator.say("conflicts", "--limit", "1")).text
    document = (await operator.say("conflicts", "--json")).json
    assert document["open"] == 2
    first = document["conflicts"][0]
    assert (first["booked_amount"], first["reported_amount"], first["waiting"]) == (700, 800, 2)
    assert (first["told_amount"], first["told_currency"]) == (first["reported_amount"], first["reported_currency"])
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
async def test_keeping_the_booked_amount_releases_the_waiting_facts(operator: Operator, wanted: str) -> None:
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


async def test_keeping_the_reported_amount_books_corrections(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    document = (await operator.say("resolve", "1", "--keep", "reported", "--json")).json
    assert document == {
        "keep": "reported", "decided": [1], "corrected": ["capture:pi_1"], "booked": ["refund:re_1", "refund:re_2"],
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


async def test_handlers_are_called_once_for_released_facts(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    before = [("evt_700", "authorized", "", 700, "EUR"), ("evt_700", "captured", "pi_1", 700, "EUR")]
    assert await operator.rows(HANDLED) == before
    await operator.say("resolve", "1", "--keep", "reported")
    await operator.say("resolve", "1", "--keep", "reported")
    await operator.apply(refunded(500, "evt_r1_again"), captured(800, "evt_800_again"))
    assert (await operator.rows(HANDLED))[len(before) :] == [
        ("evt_r1", "refunded", "re_1", 500, "EUR"), ("evt_r2", "refunded", "re_2", 100, "EUR"),
    ]  # fmt: skip
    assert await operator.rows("SELECT count(*) FROM handled_facts WHERE body_bytes = 0") == [(0,)]
    await operator.assert_sound()


async def test_a_handler_gets_an_event_without_its_body_if_the_payload_is_deleted(operator: Operator) -> None:
    await operator.apply(*STOPPED)
    await operator.connection.execute("DELETE FROM payloads")
    assert (await operator.say("resolve", "1", "--keep", "booked")).code == 0
    assert await operator.rows("SELECT event_id FROM handled_facts WHERE body_bytes = 0 ORDER BY number") == [
        ("evt_r1",), ("evt_r2",)]  # fmt: skip


TWO_CURRENCIES = [captured(700, "evt_eur"), refunded(300, "evt_usd", currency="usd"), refunded(100, "evt_r2", "re_2")]


async def test_a_transfer_that_was_not_booked_is_booked_under_its_own_key(operator: Operator) -> None:
    await operator.apply(*TWO_CURRENCIES)
    assert "nothing" in (await operator.say("conflicts")).text
    document = (await operator.say("resolve", "pi_1", "--keep", "reported", "--json")).json
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


async def test_a_transfer_that_was_not_booked_can_be_dismissed(operator: Operator) -> None:
    await operator.apply(*TWO_CURRENCIES)
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 100)]
    await operator.apply(refunded(300, "evt_usd_again", currency="usd"))
    assert await operator.rows(PAYMENTS) == [("pi_1", "partially_refunded", 700, 100)]
    await operator.assert_sound()


async def test_dismissing_the_only_transfer_leaves_none(operator: Operator) -> None:
    usd = captured(700, "evt_usd", currency="usd")
    await operator.apply(contract_event("evt_created", type="payment_intent.created",
                                        body=captured(700, "evt_created").body), usd)  # fmt: skip
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [700]
    assert (await operator.say("resolve", "pi_1", "--keep", "booked")).code == 0
    assert await operator.rows(TRANSFERS) == []
    assert [row[2] for row in await operator.rows(PAYMENTS)] == [0]
    await operator.assert_sound()


@pytest.mark.parametrize("keep", ["booked", "reported"])
async def test_a_conflict_about_the_currency_alone_is_acknowledged(operator: Operator, keep: str) -> None:
    story = [
        stripe_event("evt_eur", "pi_1", "payment_intent.created"),
        stripe_event("evt_usd", "pi_1", "payment_intent.processing", currency="usd"),
    ]
    bodies = [contract_event(e["id"], type=e["type"], body=json.dumps(e).encode()) for e in story]
    await operator.apply(*bodies, captured(1999, "evt_later"))
    assert "EUR" in (await operator.say("conflicts")).text
    said = await operator.say("resolve", "1", "--keep", keep)
    assert "acknowledged" in said.text
    if keep == "reported":  # dollars are right, so that the capture in euros which waited contradicts them
        assert await operator.rows(TRANSFERS) == []
        assert (await operator.say("resolve", "2", "--keep", "reported")).code == 0
    assert [row[0] for row in await operator.rows(TRANSFERS)] == ["capture:pi_1"]
    await operator.assert_sound()
