"""Braintree: XML in base64, refunds that are transactions, and settlements that are declined later."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.braintree.facts import TYPES, extract_facts
from providers.facts import IncompleteError, UnreadableError
from tests.support.cases.base import NOW
from tests.support.cases.braintree import SDK, xml
from tests.support.recorded import recordings

DOCUMENTED_ERRORS = (ValidationError, MoneyError, UnreadableError)
SALE = {"id": "t1", "type": "sale", "currency-iso-code": "EUR", "amount": "10.00"}
CREDIT = {**SALE, "id": "r1", "type": "credit", "refunded-transaction-id": "t1"}
RECORDED = {each.name: each.event() for each in recordings("braintree")}


def facts_of_body(kind: str, body: bytes) -> list[Fact]:
    return list(extract_facts(Event("a", "a", "braintree", "e_1", kind, "t1", NOW, NOW, "body", body)))


def facts_of(kind: str, subject: Mapping[str, Any]) -> list[Fact]:
    return facts_of_body(kind, base64.encodebytes(xml("notification", {"kind": kind, "subject": subject}).encode()))


def test_settled_and_disbursed_report_one_capture() -> None:
    facts = [facts_of(kind, {"transaction": SALE}) for kind in ("transaction_settled", "transaction_disbursed")]
    assert facts == [[Fact("captured", 1000, "EUR", "t1")]] * 2


def test_the_charge_of_a_subscription_is_the_capture_that_is_settled_later() -> None:
    charged = {"transactions": {"transaction": {**SALE, "status": "submitted_for_settlement"}}}
    facts = facts_of("subscription_charged_successfully", {"subscription": charged})
    assert facts == facts_of("transaction_settled", {"transaction": SALE})


def test_a_declined_settlement_undoes_the_capture() -> None:
    assert facts_of("transaction_settlement_declined", {"transaction": SALE}) == [
        Fact("failed", 1000, "EUR"),
        Fact("capture_failed", 1000, "EUR", "t1"),
    ]
    assert facts_of("transaction_settlement_declined", {"transaction": CREDIT}) == [
        Fact("refund_failed", 1000, "EUR", "r1")
    ]
    assert facts_of("transaction_settled", {"transaction": CREDIT}) == [Fact("refunded", 1000, "EUR", "r1")]


def test_a_refund_is_about_the_payment_that_it_refunds() -> None:
    assert RECORDED["refund_settled"].resource == RECORDED["transaction_settled"].resource
    assert RECORDED["refund_failed"].resource == RECORDED["transaction_settled"].resource
    assert RECORDED["dispute_opened"].resource == RECORDED["transaction_disbursed"].resource


@pytest.mark.parametrize(
    "status", [getattr(SDK.Transaction.Status, each) for each in dir(SDK.Transaction.Status) if each[0] != "_"]
)
def test_every_status_of_braintrees_own_code_is_known(status: str) -> None:
    facts = facts_of("local_payment_completed", {"local-payment": {"transaction": {**SALE, "status": status}}})
    assert facts or status == "settlement_failed"


def test_a_transaction_of_which_parts_settled_captures_nothing_itself() -> None:
    """Its parts are transactions of their own, which capture: the money would count twice."""
    assert facts_of("transaction_retried", {"transaction": {**SALE, "status": "settlement_confirmed"}}) == [
        Fact("authorized", 1000, "EUR")
    ]


def test_a_refund_that_is_tried_again_says_nothing_about_the_payments_own_state() -> None:
    retried = {
        status: facts_of("transaction_retried", {"transaction": {**CREDIT, "status": status}})
        for status in ("submitted_for_settlement", "processor_declined", "authorized")
    }
    assert retried == {
        "submitted_for_settlement": [Fact("refunded", 1000, "EUR", "r1")],
        "processor_declined": [],
        "authorized": [],
    }


def test_an_unknown_or_missing_status_gives_no_facts() -> None:
    for status in ({}, {"status": "something_new"}):
        assert facts_of("local_payment_funded", {"local-payment-funded": {"transaction": {**SALE, **status}}}) == []


DISPUTE = {"id": "d1", "amount": "9.00", "currency-iso-code": "EUR"}
DISPUTES = [kind for kind in TYPES if kind.startswith("dispute_")]


@pytest.mark.parametrize("kind", DISPUTES)
def test_a_retrieval_is_not_a_dispute(kind: str) -> None:
    assert facts_of(kind, {"dispute": {**DISPUTE, "kind": "retrieval"}}) == []


@pytest.mark.parametrize("kind", DISPUTES)
@pytest.mark.parametrize("of", ["chargeback", "pre_arbitration"])
def test_every_notification_of_a_dispute_says_that_its_amount_was_debited(kind: str, of: str) -> None:
    state, *transfers = facts_of(kind, {"dispute": {**DISPUTE, "kind": of, "amount-disputed": "4.00"}})
    assert state.kind.startswith("dispute_")
    assert transfers[0] == Fact("funds_withdrawn", 400, "EUR", "d1")
    assert transfers[1:] == ([Fact("funds_reinstated", 400, "EUR", "d1")] if kind == "dispute_won" else [])


@pytest.mark.parametrize(("won", "amount"), [("9.00", 900), ("8.50", 850), ("0.00", 0)])
def test_a_win_brings_back_the_amount_that_was_won(won: str, amount: int) -> None:
    assert facts_of("dispute_won", {"dispute": {**DISPUTE, "amount-won": won}}) == [
        Fact("dispute_won", 900, "EUR", "d1"),
        Fact("funds_withdrawn", 900, "EUR", "d1"),
        Fact("funds_reinstated", amount, "EUR", "d1"),
    ]
    assert {fact.kind for fact in facts_of("dispute_lost", {"dispute": {**DISPUTE, "amount-won": won}})} == {
        "dispute_lost",
        "funds_withdrawn",
    }


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("local_payment_completed", {"local-payment": {"payment-id": "p1", "payment-method-nonce": "n1"}}),
        ("local_payment_completed", {"local-payment": {"transaction": {"id": "t1", "amount": "10.00"}}}),
        ("subscription_charged_successfully", {"subscription": {"id": "s1"}}),
        ("transaction_settled", {"transaction": {"id": "t1", "currency-iso-code": "EUR"}}),
        ("transaction_settled", {"transaction": {**SALE, "amount": ""}}),
        ("dispute_lost", {"dispute": {"id": "d1", "currency-iso-code": "EUR"}}),
        ("dispute_lost", {}),
    ],
)
def test_a_notification_without_a_transaction_an_amount_or_a_currency_is_incomplete(kind: str, subject: Any) -> None:
    with pytest.raises(IncompleteError):
        facts_of(kind, {"x": "y", **subject})


KINDS = [getattr(SDK.WebhookNotification.Kind, each) for each in dir(SDK.WebhookNotification.Kind) if each[0] != "_"]


WITHOUT_CURRENCY = {
    "transaction_disbursed",
    "refund_failed",
    "subscription_charged_successfully",
    "subscription_charged_unsuccessfully",
    "local_payment_completed",
    "local_payment_funded",
}


@pytest.mark.filterwarnings("ignore:datetime.*utcnow:DeprecationWarning:braintree")
@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_braintrees_own_code_is_read_or_refused(kind: str) -> None:
    """Some of its samples leave out the currency, which a real notification has; without it nothing can be booked."""
    config = SDK.Configuration(SDK.Environment.Development, "m", "public_key", "private_key")
    sample = SDK.BraintreeGateway(config).webhook_testing.sample_notification(kind, "id_1")
    if kind in WITHOUT_CURRENCY:
        with pytest.raises(IncompleteError, match="currency-iso-code"):
            facts_of_body(kind, sample["bt_payload"])
    else:
        assert bool(facts_of_body(kind, sample["bt_payload"])) == (kind in TYPES)


TEXT = st.sampled_from(["", "0", "-1", "1.5", "1.005", "1e9", "NaN", "\u0661", "9" * 30, "EUR", "XTS", "x" * 300, "€"])
NAMES = st.sampled_from(
    ["id", "amount", "amount-disputed", "currency-iso-code", "status", "type", "kind", "transaction"]
)
OBJECTS = st.recursive(TEXT, lambda inner: st.dictionaries(NAMES, inner, max_size=6), max_leaves=10)
PLACES = st.sampled_from(["transaction", "dispute", "local-payment", "local-payment-funded", "subscription"])


@settings(deadline=None, max_examples=100)
@given(kind=st.sampled_from(sorted(TYPES)), subject=st.dictionaries(PLACES, OBJECTS), known=st.booleans())
def test_any_xml_is_read_or_refused(kind: str, subject: dict[str, Any], known: bool) -> None:
    parts = {name: {**SALE, **part} if known and isinstance(part, dict) else part for name, part in subject.items()}
    try:
        facts = facts_of(kind, parts)
    except DOCUMENTED_ERRORS:
        return
    assert all(fact.currency == "EUR" and 0 <= fact.amount < 10**20 for fact in facts)


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><notification>&b;</notification>'
)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<notification/>",
        b"<notification><subject/></notification>",
        b"<notification><subject>",
        b"\x00",
        BOMB.encode(),
        b'<!DOCTYPE x SYSTEM "file:///etc/hostname"><notification/>',
        b'<?xml version="1.0" encoding="x-unknown"?><notification/>',
        b'<?xml version="1.0" encoding="utf-7"?><notification/>',
        b"<a>" * 100_000,
    ],
)
@pytest.mark.parametrize("kind", {extract: kind for kind, extract in TYPES.items()}.values())
def test_a_document_of_any_other_shape_is_refused(kind: str, document: bytes) -> None:
    with pytest.raises(UnreadableError):
        facts_of_body(kind, base64.encodebytes(document))
