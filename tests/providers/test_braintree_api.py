"""Braintree's API: searches by the time of each status, in two steps, and what no notification says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from providers.api import (
    ApiRefusedError,
    ApiUnavailableError,
    ApiUnexpectedError,
    Limits,
    NotFoundError,
    Window,
)
from providers.braintree import api as braintree_api
from providers.braintree.api import BraintreeAccess, BraintreeApi
from tests.support.listed import facts_of, list_all, said
from tests.support.stand_ins.braintree import BraintreeStandIn, Claim, answer
from tests.support.stand_ins.stand_in import status, text

DAY = Window(datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 17, tzinfo=UTC))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MONTHS_AGO = NOON - timedelta(days=90)
QUICK = Limits(requests_per_s_max=10_000, attempts_max=3)


@pytest.fixture
async def server() -> AsyncIterator[BraintreeStandIn]:
    async with BraintreeStandIn().serving() as stand_in:
        yield stand_in


def access(url: str | None = None, **settings: Any) -> BraintreeAccess:
    table = {
        "source": "shop", "namespace": "shop", "mode": "test", "api_url": url, "merchant_id": "a_merchant",
        "api_public_key": "pub", "api_private_key": "priv", **settings,
    }  # fmt: skip
    return BraintreeAccess.model_validate(table)


@pytest.fixture
async def api(server: BraintreeStandIn) -> AsyncIterator[BraintreeApi]:
    asked = BraintreeApi(access(server.url))
    await asked.open(QUICK)
    yield asked
    await asked.close()


STATES = {
    "authorizing": [("pending", 1000, "")],
    "settlement_pending": [("pending", 1000, "")],
    "authorized": [("authorized", 1000, "")],
    "submitted_for_settlement": [("captured", 1000, "t")],
    "settling": [("captured", 1000, "t")],
    "settled": [("captured", 1000, "t")],
    "settlement_declined": [("failed", 1000, ""), ("capture_failed", 1000, "t")],
    "processor_declined": [("failed", 1000, "")],
    "gateway_rejected": [("failed", 1000, "")],
    "failed": [("failed", 1000, "")],
    "voided": [("canceled", 1000, "")],
    "authorization_expired": [("canceled", 1000, "")],
    "something_new": [],
}


@pytest.mark.parametrize("state", STATES)
async def test_each_state_of_a_sale(server: BraintreeStandIn, api: BraintreeApi, state: str) -> None:
    server.add("t", NOON, state)
    assert said(api, await list_all(api, DAY)) == {("reconcile.transaction", "t"): STATES[state]}


async def test_a_void_of_what_was_submitted_undoes_the_capture(server: BraintreeStandIn, api: BraintreeApi) -> None:
    """No notification says so: the capture of `subscription_charged_successfully` would stand for ever."""
    sale = server.add("t", MONTHS_AGO, "voided", history=("authorized", "submitted_for_settlement"))
    sale.times["voided_at"] = NOON
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.transaction", "t"): [("canceled", 1000, ""), ("capture_failed", 1000, "t")]
    }


async def test_parts_of_a_settlement_count_and_the_whole_does_not(server: BraintreeStandIn, api: BraintreeApi) -> None:
    """The parent "will not be submitted to processor for settling": only its parts bring money."""
    server.add("parent", NOON, "settlement_confirmed", "30.00", parts=["part_1", "part_2"])
    server.add("part_1", NOON, "settled", "10.00")
    server.add("part_2", NOON, "settling", "20.00")
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.transaction", "parent"): [("authorized", 3000, "")],
        ("reconcile.transaction", "part_1"): [("captured", 1000, "part_1")],
        ("reconcile.transaction", "part_2"): [("captured", 2000, "part_2")],
    }


@pytest.mark.parametrize(
    ("state", "history", "facts"),
    [
        ("submitted_for_settlement", (), [("refunded", 1000, "r")]),
        ("settled", ("submitted_for_settlement",), [("refunded", 1000, "r")]),
        ("settlement_declined", ("submitted_for_settlement",), [("refund_failed", 1000, "r")]),
        ("voided", ("submitted_for_settlement",), [("refund_failed", 1000, "r")]),
        ("processor_declined", (), []),
    ],
)
async def test_each_state_of_a_refund(
    server: BraintreeStandIn, api: BraintreeApi, state: str, history: tuple[str, ...], facts: list[Any]
) -> None:
    server.add("r", NOON, state, type="credit", refunded="t", history=history)
    assert said(api, await list_all(api, DAY)) == {("reconcile.transaction", "t"): facts}


async def test_each_state_of_a_dispute(server: BraintreeStandIn, api: BraintreeApi) -> None:
    for number, state in enumerate(["open", "won", "accepted", "new", "open"]):
        kind = "retrieval" if number == 4 else "chargeback"
        server.claims[f"d{number}"] = Claim(f"d{number}", f"t{number}", state, NOON, won="8.50", kind=kind)
    server.claims["other"] = Claim("other", "t9", "open", MONTHS_AGO)
    assert said(api, await list_all(api, DAY)) == {
        ("reconcile.dispute", "t0"): [("dispute_opened", 900, "d0"), ("funds_withdrawn", 900, "d0")],
        ("reconcile.dispute", "t1"): [
            ("dispute_won", 900, "d1"), ("funds_withdrawn", 900, "d1"), ("funds_reinstated", 850, "d1"),
        ],
        ("reconcile.dispute", "t2"): [("dispute_lost", 900, "d2"), ("funds_withdrawn", 900, "d2")],
        ("reconcile.dispute", "t3"): [],
        ("reconcile.dispute", "t4"): [],
    }  # fmt: skip


async def test_disputes_have_pages(server: BraintreeStandIn, api: BraintreeApi) -> None:
    for number in range(100):
        server.claims[f"d{number}"] = Claim(f"d{number}", f"t{number}", "open", DAY.until)
    assert len(await list_all(api, DAY)) == 100
    assert [each.query["page"] for each in server.requests if each.path.endswith("/disputes/advanced_search")] == [
        "1", "2",
    ]  # fmt: skip


async def test_any_status_of_the_window_brings_an_old_sale_once(server: BraintreeStandIn, api: BraintreeApi) -> None:
    for number, name in enumerate(braintree_api.TIMES):
        sale = server.add(f"t{number}", MONTHS_AGO)
        sale.times |= {"settled_at": NOON, name: NOON}
    server.add("other", MONTHS_AGO)
    assert sorted(each.parsed.resource for each in await list_all(api, DAY)) == sorted(f"t{n}" for n in range(10))


async def test_the_id_names_the_object_and_what_it_says(server: BraintreeStandIn, api: BraintreeApi) -> None:
    sale = server.add("t", NOON, "submitted_for_settlement")
    ids = list[str]()
    for state in ("settling", "settled", "settlement_declined"):
        sale.status = state
        (listed,) = await list_all(api, DAY)
        ids.append(listed.parsed.event_id)
        assert listed.parsed.account == "shop_eur"
    assert ids[0].startswith("reconcile:t:")
    assert ids[0] == ids[1] != ids[2]


async def test_a_search_with_too_many_results_is_halved(
    server: BraintreeStandIn, api: BraintreeApi, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(braintree_api, "IDS_MAX", 60)
    server.ids_max = 60
    for number in range(300):
        server.add(f"t{number}", DAY.since + timedelta(seconds=number * 96), "authorized")
    ids = {each.parsed.resource for each in await list_all(api, DAY)}
    assert ids == {f"t{number}" for number in range(300)}


@pytest.mark.parametrize("mishap", [status(422), text(b"<api-error-response/>", "application/xml")])
async def test_a_search_that_takes_too_long_is_halved(
    server: BraintreeStandIn, api: BraintreeApi, mishap: Any
) -> None:  # fmt: skip
    server.add("t", NOON)
    server.mishaps.append(mishap)
    assert [each.parsed.resource for each in await list_all(api, DAY)] == ["t"]


async def test_two_seconds_are_not_halved(server: BraintreeStandIn, api: BraintreeApi) -> None:
    server.mishaps.append(status(422))
    with pytest.raises(ApiUnavailableError, match="two seconds"):
        await list_all(api, Window(NOON, NOON + timedelta(seconds=1)))


async def test_what_a_page_leaves_out_is_read_by_itself(server: BraintreeStandIn, api: BraintreeApi) -> None:
    for number in range(60):
        server.add(f"t{number}", NOON)
    server.omits |= {"t3", "t50"}
    assert len({each.parsed.resource for each in await list_all(api, DAY)}) == 60


async def test_what_a_page_cannot_answer_is_read_one_by_one(server: BraintreeStandIn, api: BraintreeApi) -> None:
    server.add("t1", NOON)
    server.add("t2", NOON)
    searches = [None] * len(braintree_api.TIMES)
    server.mishaps.extend([*searches, *[status(500)] * QUICK.attempts_max])
    assert [each.parsed.resource for each in await list_all(api, DAY)] == ["t1", "t2"]
    server.mishaps.extend([*searches, *[status(500)] * 2 * QUICK.attempts_max])
    with pytest.raises(ApiUnavailableError):
        await list_all(api, DAY)


async def test_a_transaction_that_is_nested_beyond_reason_is_said(server: BraintreeStandIn, api: BraintreeApi) -> None:
    server.add("t", NOON)
    deep = f"<x><transaction><id>t</id>{'<a>' * 50_000}{'</a>' * 50_000}</transaction></x>"
    searches = [None] * len(braintree_api.TIMES)
    server.mishaps.extend([*searches, text(deep.encode(), "application/xml")])
    (listed,) = await list_all(api, DAY)
    assert (listed.parsed.event_id, "nested" in listed.unreadable) == ("reconcile:t:unreadable", True)


async def test_one_payment_is_fetched_with_its_refunds_and_disputes(
    server: BraintreeStandIn, api: BraintreeApi
) -> None:  # fmt: skip
    server.add("t", MONTHS_AGO, refunds=["r"])
    server.add("r", MONTHS_AGO, type="credit", refunded="t")
    server.claims["d"] = Claim("d", "t", "lost", MONTHS_AGO)
    facts = [fact.kind for each in await api.fetch_payment("t") for fact in facts_of(api, each)]
    assert facts == ["captured", "refunded", "dispute_lost", "funds_withdrawn"]
    with pytest.raises(NotFoundError):
        await api.fetch_payment("../t")


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"<a>" * 1000, b'<!DOCTYPE x [<!ENTITY a "b">]><search-results>&a;</search-results>'],
)
async def test_an_answer_that_is_no_xml_or_defines_entities_is_refused(
    server: BraintreeStandIn, api: BraintreeApi, document: bytes
) -> None:
    server.mishaps.append(text(document, "application/xml"))
    with pytest.raises(ApiUnexpectedError, match="not XML"):
        await list_all(api, DAY)


async def test_the_check_searches(server: BraintreeStandIn, api: BraintreeApi) -> None:
    assert await api.check() == "Braintree merchant a_merchant, test mode"
    assert [each.path for each in server.requests] == ["/merchants/a_merchant/transactions/advanced_search_ids"]
    server.mishaps.append(status(422))
    with pytest.raises(ApiUnavailableError):
        await api.check()


async def test_a_wrong_key_is_refused_and_not_shown(server: BraintreeStandIn) -> None:
    async with BraintreeApi(access(server.url, api_private_key="another_key")) as asked:
        with pytest.raises(ApiRefusedError) as error:
            await asked.check()
    assert "another_key" not in f"{error.value!r}"


def test_a_merchant_id_is_no_path() -> None:
    with pytest.raises(ValidationError):
        access(merchant_id="../other")


async def test_what_changes_between_the_two_steps_is_still_found(server: BraintreeStandIn, api: BraintreeApi) -> None:
    """The second request names ids only, so that a transaction which fits the search no longer is not left out."""
    sale = server.add("t", NOON, "authorized")
    changed = list[int]()

    def change(_: web.Request) -> web.StreamResponse:
        sale.status, sale.times = "settled", {"created_at": MONTHS_AGO, "settled_at": DAY.until + timedelta(days=1)}
        changed.append(1)
        return answer('<search-results><ids type="array"><item>t</item></ids></search-results>')

    server.mishaps.append(change)
    assert said(api, await list_all(api, DAY)) == {("reconcile.transaction", "t"): [("captured", 1000, "t")]}
    assert changed == [1]
