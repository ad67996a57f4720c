"""PayPal: the facts of its two APIs; two events about one transfer report the same fact."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from providers.facts import IncompleteError
from providers.paypal.facts import TYPES, extract_facts
from tests.support.cases.base import NOW
from tests.support.recorded import Recording, recordings

RECORDED = {each.name: each for each in recordings("paypal")}


def facts_of(type_: str, resource: object, about: str = "C1") -> list[Fact]:
    body = json.dumps({"event_type": type_, "resource": resource}).encode()
    return list(extract_facts(Event("a", "a", "paypal", "t_1", type_, about, NOW, NOW, "weak", body)))


def usd(value: str) -> dict[str, str]:
    return {"currency_code": "USD", "value": value}


def of(recording: Recording) -> tuple[str, list[Fact]]:
    event = recording.event()
    return event.resource, list(extract_facts(event))


@pytest.mark.parametrize(
    ("number", "cents"), [("10", 1000), ("10.10", 1010), ("0.29", 29), ("90071992547409.93", 9007199254740993)]
)
def test_an_amount_may_also_be_a_number_and_is_never_rounded(number: str, cents: int) -> None:
    body = '{"id": "WH", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C1", "status": "COMPLETED", '
    body += f'"amount": {{"currency_code": "USD", "value": {number}}}}}}}'
    event = Event("a", "a", "paypal", "t_1", "PAYMENT.CAPTURE.COMPLETED", "C1", NOW, NOW, "weak", body.encode())
    assert extract_facts(event) == [Fact("captured", cents, "USD", "C1")]


def test_an_order_and_its_capture_report_one_transfer() -> None:
    assert of(RECORDED["order_completed"]) == of(RECORDED["capture_completed"])


def test_all_events_of_a_capture_share_its_resource() -> None:
    names = ("capture_completed", "order_completed", "capture_refunded_in_part", "dispute_created", "dispute_lost")
    assert len({of(RECORDED[name])[0] for name in names}) == 1
    assert of(RECORDED["capture_of_an_authorization"])[0] == of(RECORDED["capture_reversed"])[0]
    assert of(RECORDED["sale_completed"])[0] == of(RECORDED["sale_refunded"])[0]


def test_each_capture_of_an_authorization_or_order_is_a_payment() -> None:
    """Their refunds name only the capture. So neither capture waits for the other's lock."""
    first, second = RECORDED["capture_declined"], RECORDED["capture_of_an_authorization"]
    related = [each.content["body"]["resource"]["supplementary_data"]["related_ids"] for each in (first, second)]
    assert related[0] == related[1]
    assert of(first)[0] != of(second)[0]


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("COMPLETED", Fact("captured", 100, "USD", "C1")),
        ("PARTIALLY_REFUNDED", Fact("captured", 100, "USD", "C1")),
        ("REFUNDED", Fact("captured", 100, "USD", "C1")),
        ("PENDING", Fact("pending", 100, "USD")),
        ("DECLINED", Fact("failed", 100, "USD")),
        ("FAILED", Fact("failed", 100, "USD")),
        ("SOMETHING_NEW", None),
    ],
)
def test_an_order_reports_the_state_of_its_capture(status: str, fact: Fact | None) -> None:
    captures = [{"id": "C1", "amount": usd("1.00"), "status": status}]
    order = {"id": "O1", "purchase_units": [{"reference_id": "gift"}, {"payments": {"captures": captures}}]}
    assert facts_of("CHECKOUT.ORDER.COMPLETED", order) == ([fact] if fact else [])
    assert facts_of("CHECKOUT.ORDER.COMPLETED", order, "O1") == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [("CREATED", "authorized"), ("PENDING", "pending"), ("DENIED", "failed"), ("CAPTURED", "authorized")],
)
def test_an_authorization_under_review_is_pending(status: str, kind: str) -> None:
    (fact,) = facts_of("PAYMENT.AUTHORIZATION.CREATED", {"id": "A1", "amount": usd("1.00"), "status": status}, "A1")
    assert (fact.kind, fact.object) == (kind, "")


def test_an_authorization_of_the_first_api() -> None:
    resource = {"id": "A1", "amount": {"total": "1.00", "currency": "USD"}, "state": "pending"}
    assert facts_of("PAYMENT.AUTHORIZATION.CREATED", resource) == [Fact("pending", 100, "USD")]


@pytest.mark.parametrize("type_", [each for each in TYPES if "REFUND" in each or "REVERSED" in each])
@pytest.mark.parametrize("minus", ["", "-"])
def test_a_refund_moves_money_once_it_is_completed(type_: str, minus: str) -> None:
    refund = {"id": "R1", "amount": {"total": f"{minus}1.00", "currency": "USD"}}
    assert facts_of(type_, {**refund, "state": "completed"}) == [Fact("refunded", 100, "USD", "R1")]
    assert facts_of(type_, {**refund, "state": "pending"}) == []
    for state in ("failed", "cancelled"):
        assert facts_of(type_, {**refund, "state": state}) == [Fact("refund_failed", 100, "USD", "R1")]


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("RESOLVED_BUYER_FAVOUR", "dispute_lost"),
        ("ACCEPTED", "dispute_lost"),
        ("RESOLVED_SELLER_FAVOUR", "dispute_won"),
        ("RESOLVED_WITH_PAYOUT", "dispute_won"),
        ("CANCELED_BY_BUYER", "dispute_won"),
        ("DENIED", "dispute_won"),
        ("NONE", "dispute_won"),
        ("SOMETHING_NEW", None),
        (None, None),
    ],
)
def test_the_outcome_of_a_dispute(outcome: str | None, kind: str | None) -> None:
    dispute: dict[str, Any] = {"dispute_id": "D1", "dispute_amount": usd("1.00"), "status": "RESOLVED"}
    if outcome:
        dispute["dispute_outcome"] = {"outcome_code": outcome}
    for type_ in ("CUSTOMER.DISPUTE.RESOLVED", "CUSTOMER.DISPUTE.UPDATED"):
        assert [fact.kind for fact in facts_of(type_, dispute)] == ([kind] if kind else [])
    open_ = {**dispute, "status": "UNDER_REVIEW"}
    assert facts_of("CUSTOMER.DISPUTE.UPDATED", open_) == [Fact("dispute_opened", 100, "USD", "D1")]


@pytest.mark.parametrize("amount", [usd("-1.00"), usd("1,00"), usd("1e2"), usd("--1")])
def test_what_is_not_an_amount_is_refused(amount: object) -> None:
    with pytest.raises(ValidationError):
        facts_of("PAYMENT.CAPTURE.COMPLETED", {"id": "C1", "amount": amount})


@pytest.mark.parametrize("resource", [None, [], {}, {"id": "C1"}, {"id": "C1", "amount": {"value": "1.00"}}])
@pytest.mark.parametrize("type_", [each for each in TYPES if each != "CHECKOUT.ORDER.COMPLETED"])
def test_what_leaves_out_an_amount_is_incomplete(type_: str, resource: object) -> None:
    with pytest.raises(IncompleteError):
        facts_of(type_, resource)


def test_an_order_without_units_reports_nothing() -> None:
    assert facts_of("CHECKOUT.ORDER.COMPLETED", {"id": "O1", "status": "COMPLETED"}, "O1") == []


def several(*transactions: tuple[str, str | None], total: str) -> dict[str, Any]:
    """Return a dispute of several transactions, each with its gross amount."""
    disputed = [
        {"seller_transaction_id": id_} | ({"gross_amount": usd(gross)} if gross else {}) for id_, gross in transactions
    ]
    return {"dispute_id": "D1", "dispute_amount": usd(total), "status": "OPEN", "disputed_transactions": disputed}


@pytest.mark.parametrize(
    ("dispute", "amounts"),
    [
        (several(("C1", "7.00"), ("C2", "3.00"), total="10.00"), [700, 300]),
        (several(("C1", "7.00"), ("C2", "3.00"), total="8.00"), [700, 100]),
        (several(("C1", None), ("C2", "3.00"), total="8.00"), [800, 0]),
        (several(("C1", "7.00"), ("C2", "3.00"), ("C2", "3.00"), total="10.00"), [700, 300]),
    ],
)
def test_a_dispute_of_several_transactions_is_about_each_of_their_payments(
    dispute: dict[str, Any], amounts: list[int]
) -> None:
    own, other = facts_of("CUSTOMER.DISPUTE.CREATED", dispute)
    assert own == Fact("dispute_opened", amounts[0], "USD", "D1")
    assert other == Fact("dispute_opened", amounts[1], "USD", "D1/C2", payment="C2")


def test_the_payment_that_keeps_the_disputes_id_does_not_depend_on_the_order() -> None:
    other = several(("C2", "3.00"), ("C1", "7.00"), total="10.00")
    assert facts_of("CUSTOMER.DISPUTE.CREATED", other, "C2") == [
        Fact("dispute_opened", 700, "USD", "D1", payment="C1"),
        Fact("dispute_opened", 300, "USD", "D1/C2"),
    ]


@pytest.mark.parametrize("dispute", [several(total="8.00"), several(("C1", "20.00"), total="8.00")])
def test_a_dispute_of_one_transaction_is_about_what_is_disputed(dispute: dict[str, Any]) -> None:
    assert facts_of("CUSTOMER.DISPUTE.CREATED", dispute) == [Fact("dispute_opened", 800, "USD", "D1")]


@pytest.mark.parametrize("number", ["1e99999999999999999999", "-1e99999999999999999999", "1" * 400])
def test_a_number_beyond_all_bounds_is_refused_only_where_it_is_an_amount(number: str) -> None:
    """The gateway's reader accepts it, so that the event was published."""
    body = '{"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C1", "odd": %s, "amount": %s}}'
    for amount, is_read in (('{"currency_code": "USD", "value": "1.00"}', True), (number, False)):
        event = Event("a", "a", "paypal", "t_1", "PAYMENT.CAPTURE.COMPLETED", "C1", NOW, NOW, "weak",
                      (body % (number, amount)).encode())  # fmt: skip
        if is_read:
            assert extract_facts(event) == [Fact("captured", 100, "USD", "C1")]
        else:
            with pytest.raises((ValidationError, IncompleteError)):
                extract_facts(event)


@pytest.mark.parametrize(
    "amount", [usd("1.001"), {"currency_code": "JPY", "value": "1.5"}, {"currency_code": "XTS", "value": "1"}]
)
def test_an_amount_that_the_currency_cannot_have_is_refused(amount: object) -> None:
    with pytest.raises(MoneyError):
        facts_of("PAYMENT.CAPTURE.COMPLETED", {"id": "C1", "amount": amount})


@pytest.mark.parametrize("value", ["4980", "4980.00"])
def test_yen_may_have_zero_decimals(value: str) -> None:
    capture = {"id": "C1", "amount": {"currency_code": "JPY", "value": value}}
    assert facts_of("PAYMENT.CAPTURE.COMPLETED", capture) == [Fact("captured", 4980, "JPY", "C1")]
