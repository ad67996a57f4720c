"""Mollie's API: what is asked for, and that what it says is booked as the webhooks would have it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from contract.event import Event
from contract.facts import Fact
from providers.api import ApiUnexpectedError, NotFoundError
from providers.facts import IncompleteError
from tests.support.asking_mollie import PAID, access, asking, everything, facts_of, posted, simple
from tests.support.stand_ins.mollie import KEY, TEST_KEY, MollieStandIn, authorized_first, euros, part, payment
from tests.support.stand_ins.stand_in import text


@pytest.fixture
async def stand_in() -> AsyncIterator[MollieStandIn]:
    async with MollieStandIn().serving() as server:
        yield server


async def test_one_question_has_all_that_happened_to_a_payment(stand_in: MollieStandIn) -> None:
    stand_in.add(
        payment("tr_1"), part("re_1", "tr_1", "5.00", "refunded"), part("re_2", "tr_1", "1.00", "pending"),
        part("re_3", "tr_1", "2.00", "failed"), part("chb_1", "tr_1", "10.00", None),
        part("re_9", "tr_2", "1.00", "refunded"),
    )  # fmt: skip
    async with asking(stand_in) as api:
        facts = await facts_of(api, posted())
    assert facts == [
        PAID, Fact("refunded", 500, "EUR", "re_1"), Fact("refund_failed", 200, "EUR", "re_3"),
        Fact("dispute_opened", 1000, "EUR", "chb_1"), Fact("funds_withdrawn", 1000, "EUR", "chb_1"),
    ]  # fmt: skip
    (request,) = stand_in.requests
    assert (request.path, request.query) == ("/v2/payments/tr_1", {"embed": "captures,refunds,chargebacks"})
    assert request.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("open", []), ("pending", ["pending"]), ("authorized", ["authorized"]), ("paid", ["captured"]),
        ("failed", ["failed"]), ("canceled", ["canceled"]), ("expired", ["canceled"]), ("something_new", []),
    ],
)  # fmt: skip
async def test_each_state_of_a_payment(stand_in: MollieStandIn, state: str, kinds: list[str]) -> None:
    stand_in.add(payment("tr_1", status=state))
    async with asking(stand_in) as api:
        facts = await facts_of(api, posted())
    assert [(fact.kind, fact.amount) for fact in facts] == [(kind, 2995) for kind in kinds]


async def test_a_payment_that_was_authorized_first_is_captured_in_parts(stand_in: MollieStandIn) -> None:
    stand_in.add(authorized_first("tr_1"), part("cpt_1", "tr_1", "20.00", "succeeded"))
    stand_in.add(part("cpt_2", "tr_1", "9.95", "pending"), part("cpt_3", "tr_1", "9.95", "failed"))
    async with asking(stand_in) as api:
        facts = await facts_of(api, posted())
    captured = Fact("captured", 2000, "EUR", "cpt_1", either_whole_or_parts=True)
    assert facts == [Fact("authorized", 2995, "EUR"), captured]


async def test_a_payment_that_lists_none_of_its_captures_books_nothing(stand_in: MollieStandIn) -> None:
    stand_in.add(authorized_first("tr_1"))
    async with asking(stand_in) as api:
        with pytest.raises(IncompleteError, match="captured in parts"):
            await facts_of(api, posted())
        stand_in.add(authorized_first("tr_1", amount=euros("20.00")))  # of which all was captured
        assert [(fact.kind, fact.object) for fact in await facts_of(api, posted())] == [("captured", "tr_1")]
        stand_in.add({**part("cpt_1", "tr_1", "20.00", "succeeded"), "amount": None})
        with pytest.raises(IncompleteError, match="cpt_1 has no amount"):
            await facts_of(api, posted())


async def test_a_chargeback_that_was_reversed_gave_the_money_back(stand_in: MollieStandIn) -> None:
    reversed_ = {**part("chb_1", "tr_1", "10.00", None), "reversedAt": "2026-11-22T10:00:00+00:00"}
    stand_in.add(payment("tr_1"), reversed_)
    async with asking(stand_in) as api:
        facts = await facts_of(api, posted())
    assert [fact.kind for fact in facts] == ["captured", "dispute_won", "funds_withdrawn", "funds_reinstated"]


@pytest.mark.parametrize(
    ("type_", "id_"),
    [("payment.paid", "tr_1"), ("refund.refunded", "re_1"), ("chargeback.received", "chb_1")],
)
async def test_a_simple_payload_is_asked_for_by_its_object(stand_in: MollieStandIn, type_: str, id_: str) -> None:
    """The event of a refund does not name its payment; the facts do."""
    stand_in.add(payment("tr_1"), part("re_0", "tr_2", "1.00", "refunded", "2026-11-20T12:00:00+00:00"))
    stand_in.add(part("re_1", "tr_1", "5.00", "refunded"), part("chb_1", "tr_1", "10.00", None))
    async with asking(stand_in, "mollie") as api:
        facts = await facts_of(api, simple(type_, id_))
    assert {fact.object for fact in facts} == {"tr_1", "re_1", "chb_1"}
    assert {fact.payment for fact in facts} == ({""} if id_ == "tr_1" else {"tr_1"})


@pytest.mark.parametrize("id_", ["re_unknown", "chb_unknown", "tr_unknown", "tr_a/../b", "tr_", "cpt_1", "x" * 300])
async def test_what_is_not_there_is_not_found(stand_in: MollieStandIn, id_: str) -> None:
    stand_in.add(payment("tr_1"), part("re_1", "tr_1", "5.00", "refunded"))
    async with asking(stand_in) as api:
        with pytest.raises(NotFoundError):
            await api.fetch(posted(id_[:200]))
        with pytest.raises(NotFoundError):
            await api.fetch_payment(id_)


async def test_a_key_sees_no_payment_of_the_other_mode(stand_in: MollieStandIn) -> None:
    stand_in.add(payment("tr_1", mode="test"))
    async with asking(stand_in) as api:
        with pytest.raises(NotFoundError):
            await api.fetch(posted())
        stand_in.mishaps.append(text(json.dumps(stand_in.payments["tr_1"]).encode()))
        with pytest.raises(ApiUnexpectedError, match="another mode"):
            await api.fetch(posted())
    async with asking(stand_in, api_key=TEST_KEY, mode="test") as api:
        assert await facts_of(api, posted()) == [PAID]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not JSON", b"\xff", json.dumps(payment("tr_2")).encode()])
async def test_an_answer_of_another_shape_is_unexpected(stand_in: MollieStandIn, body: bytes) -> None:
    async with asking(stand_in) as api:
        stand_in.mishaps.append(text(body))
        with pytest.raises(ApiUnexpectedError) as error:
            await api.fetch(posted())
        stand_in.mishaps.append(text(body))
        with pytest.raises(ApiUnexpectedError):
            await everything(api)
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    ("event", "asks"),
    [
        (posted(), True), (posted("ord_1", "order"), False), (posted("sub_1", "other"), False),
        (replace(posted(), signed="api"), False), (simple("payment.paid", "tr_1"), True),
        (simple("refund.failed", "re_1"), True), (simple("capture.succeeded", "cpt_1"), False),
        (simple("payment-link.paid", "pl_1"), False), (simple("payout.completed", "po_1"), False),
        (replace(simple("payment.paid", "tr_1"), body=b"{"), False),
        (replace(simple("payment.paid", "tr_1"), body=json.dumps(
            {"id": "event_1", "type": "payment.paid", "entityId": "tr_1", "_embedded": {"entity": payment("tr_1")}}
        ).encode()), False),
    ],
)  # fmt: skip
def test_what_is_asked_about(event: Event, asks: bool) -> None:
    assert access(event.provider).must_ask(event) is asks
