"""What an event of Mollie, Checkout.com or Braintree says about its mode and its account; both may be left out."""

import json
from typing import Any

import pytest

from providers.account import first_account, mode_of_flag
from providers.base import Headers, ParsedEvent, Request
from tests.support.cases.base import NOW
from tests.support.cases.braintree import xml
from tests.support.provider_cases import CASES


def parsed(provider: str, body: dict[str, Any]) -> ParsedEvent:
    request = Request("POST", "/webhooks/a", Headers([]), json.dumps(body).encode(), NOW)
    (event,) = CASES[provider].source().parse(request)
    return event


@pytest.mark.parametrize(
    ("entity", "mode", "account"),
    [
        ({"mode": "live", "profileId": "pfl_1"}, "live", "pfl_1"),
        ({"mode": "test"}, "test", ""),
        ({}, None, ""),
        ({"mode": True, "profileId": ""}, None, ""),
        ({"mode": "other", "profileId": {"id": 1}}, None, ""),
        (None, None, ""),
        ([], None, ""),
    ],
)
def test_mollies_entity_has_a_mode_and_a_profile(entity: object, mode: str | None, account: str) -> None:
    event = parsed("mollie", {"id": "e", "type": "payment.paid", "entityId": "tr_1", "_embedded": {"entity": entity}})
    assert (event.mode, event.account) == (mode, account)


@pytest.mark.parametrize(
    ("address", "mode"),
    [
        ("https://api.sandbox.checkout.com/workflows/events/evt_1", "test"),
        ("https://vkuhvk4v.api.sandbox.checkout.com/workflows/events/evt_1", "test"),
        ("https://api.checkout.com/workflows/events/evt_1", "live"),
        ("https://vkuhvk4v.api.checkout.com/workflows/events/evt_1", "live"),
        ("https://api.sandbox.checkout.com.example/x", None),
        ("https://example/https://api.sandbox.checkout.com/", None),
        ("", None),
        (None, None),
        ({}, None),
    ],
)
def test_checkouts_event_is_a_test_where_its_address_is_in_the_sandbox(address: object, mode: str | None) -> None:
    body = {"id": "evt_1", "type": "payment_captured", "_links": {"self": {"href": address}}}
    assert parsed("checkout", body).mode == mode


@pytest.mark.parametrize("links", [None, [], "x", {}, {"self": []}, {"self": {"href": 5}}])
def test_checkouts_event_without_an_address_says_no_mode(links: object) -> None:
    assert parsed("checkout", {"id": "evt_1", "type": "payment_captured", "_links": links}).mode is None


def test_checkouts_payment_names_its_processing_channel() -> None:
    data = {"id": "pay_1", "processing_channel_id": "pc_1"}
    assert parsed("checkout", {"id": "evt_1", "type": "payment_captured", "data": data}).account == "pc_1"


@pytest.mark.parametrize(
    ("notification", "account"),
    [
        ({"subject": {"transaction": {"id": "t1", "merchant-account-id": "eur"}}}, "eur"),
        ({"subject": {"dispute": {"id": "d1", "merchant-account-id": "eur"}}}, "eur"),
        ({"subject": {"disbursement": {"merchant-account": {"id": "eur"}}}}, "eur"),
        ({"source-merchant-id": "m1", "subject": {"dispute": {"id": "d1", "merchant-account-id": "eur"}}}, "m1"),
        ({"subject": {"dispute": {"id": "d1"}}}, ""),
    ],
)
def test_braintrees_notification_names_the_connected_merchant_or_the_account(
    notification: dict[str, Any], account: str
) -> None:
    case = CASES["braintree"]
    request = case.deliver(xml("notification", {"kind": "dispute_opened", **notification})).request()
    (event,) = case.source().parse(request)
    assert (event.mode, event.account) == (None, account)


def test_a_review_is_about_its_transaction() -> None:
    case = CASES["braintree"]
    review = {"kind": "transaction_reviewed", "subject": {"transaction-review": {"transaction-id": "t1"}}}
    (event,) = case.source().parse(case.deliver(xml("notification", review)).request())
    assert event.resource == "t1"


@pytest.mark.parametrize("odd", [None, "", [], {}, True, 1.5, "x" * 256, "a\x00", "\ud800"])
def test_what_cannot_name_an_account_names_none(odd: object) -> None:
    assert first_account(odd) == ""
    assert first_account(odd, "acct_1", "acct_2") == "acct_1"


@pytest.mark.parametrize(("flag", "mode"), [(True, "live"), ("True", "live"), (False, "test"), (0, None), ("", None)])
def test_only_a_flag_says_a_mode(flag: object, mode: str | None) -> None:
    assert mode_of_flag(flag) == mode
