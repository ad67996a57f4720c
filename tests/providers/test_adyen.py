"""Adyen: batches verified item by item, the eight signed fields, and comparison with its own library."""

import json
from datetime import UTC, datetime
from typing import Any

import Adyen.util
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from providers.payload import BATCH_EVENTS_MAX
from tests.support.cases.adyen import AdyenCase, AdyenPlatformCase
from tests.support.cases.base import Signed
from tests.support.verification import event_of, events_of, outcome_of

CASE, PLATFORM = AdyenCase(), AdyenPlatformCase()
KEY = CASE.secrets[0]

# The published ones: github.com/Adyen/adyen-python-api-library, test/UtilTest.py.
PUBLISHED_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
PUBLISHED_ITEM = {
    "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
    "pspReference": "7914073381342284",
    "merchantReference": "TestPayment-1407325143704",
    "merchantAccountCode": "TestMerchant",
    "amount": {"currency": "EUR", "value": 1130},
    "eventCode": "AUTHORISATION",
    "success": "true",
}


def item(**changes: Any) -> dict[str, Any]:
    genuine: dict[str, Any] = CASE.event("order 1")["notificationItems"][0]["NotificationRequestItem"]
    return {**genuine, **changes}


def signed_item(key: str = KEY, **changes: Any) -> dict[str, Any]:
    """Return an item signed by Adyen's own code."""
    made = item(**changes)
    return {**made, "additionalData": {"hmacSignature": Adyen.util.generate_notification_sig(made, key).decode()}}


def batch(*items: Any, **beside: Any) -> Signed:
    wrapped = [{"NotificationRequestItem": each} for each in items]
    return Signed([], json.dumps({"live": "true", **beside, "notificationItems": wrapped}).encode())


async def test_adyens_published_example_passes() -> None:
    event = await event_of(CASE, batch(PUBLISHED_ITEM), PUBLISHED_KEY)
    assert (event.event_id, event.type) == ("AUTHORISATION:7914073381342284:true", "AUTHORISATION")
    assert (event.resource, event.occurred_at, event.signed) == ("7914073381342284", None, "fields")
    assert await outcome_of(CASE, batch(PUBLISHED_ITEM), PUBLISHED_KEY.lower()) == "genuine"


async def test_an_event_is_its_item_and_is_about_its_payment() -> None:
    signed = CASE.signed()
    event = await event_of(CASE, signed)
    assert (event.event_id, event.type) == ("CAPTURE:8515131751004933:true", "CAPTURE")
    assert event.resource == "7914073381342284"
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)
    assert event.headers == {"live": "true"}
    assert json.loads(event.body)["NotificationRequestItem"]["pspReference"] == "8515131751004933"


async def test_parsing_does_not_depend_on_the_request_proven_before() -> None:
    source = CASE.source()
    one, two = (batch(signed_item(pspReference=psp)).request() for psp in "AB")
    for proven, parsed in ((one, one), (one, two), (two, one)):
        await source.authenticate(proven)
        for _ in range(2):
            (event,) = source.parse(parsed)
            assert event.body is not None
            assert event.body in parsed.body
            assert json.loads(event.body)["NotificationRequestItem"]["pspReference"] in event.event_id.split(":")


async def test_a_failure_and_a_success_are_two_events_of_one_payment() -> None:
    events = await events_of(CASE, batch(signed_item(), signed_item(success="false")))
    assert [event.event_id for event in events] == ["CAPTURE:8515131751004933:true", "CAPTURE:8515131751004933:false"]
    assert len({event.resource for event in events}) == 1


@pytest.mark.parametrize("original", [None, "", ...])
async def test_an_item_without_an_original_reference_is_about_itself(original: object) -> None:
    """A missing reference is empty, and so is null, which Adyen's own library would sign as the text `None`."""
    made = signed_item(originalReference="")
    made["originalReference"] = original
    if original is ...:
        del made["originalReference"]
    event = await event_of(CASE, batch(made))
    assert event.resource == "8515131751004933"


@pytest.mark.parametrize("count", [2, 5, BATCH_EVENTS_MAX])
async def test_each_item_of_a_batch_is_an_event_with_its_own_bytes(count: int) -> None:
    items = [signed_item(pspReference=f"psp{number}") for number in range(count)]
    events = await events_of(CASE, batch(*items, live="true"))
    assert [event.event_id for event in events] == [f"CAPTURE:psp{number}:true" for number in range(count)]
    assert [json.loads(event.body)["NotificationRequestItem"] for event in events] == items
    assert all(event.headers == {"live": "true"} for event in events)


@pytest.mark.parametrize("size", [0, 4096, 100_000])
@pytest.mark.parametrize("indent", [None, 0, 2])
async def test_a_single_item_of_any_size_is_kept_byte_for_byte(size: int, indent: int | None) -> None:
    made = signed_item(reason="]}{\\" + "x" * size, merchantReference="]}, {")
    text = json.dumps({"NotificationRequestItem": made}, indent=indent).encode()
    for before, after in (
        (b'{"live":"true","notificationItems":[', b"]}"),
        (b' { "live" : "true" ,\n\t"notificationItems" : [ ', b" \r\n] } "),
        (b'{"notificationItems":[{}],"live":"true","notificationItems":[', b'],"x":[]}'),
    ):
        event = await event_of(CASE, Signed([], before + text + after))
        assert (event.body, event.headers) == (text, {"live": "true"})


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (b",", "genuine"),
        (b"", "malformed"),
        (b",,", "malformed"),
        (b"],[", "malformed"),
        (b'],"notificationItems":[', "genuine"),
        (b'],"x":[', "genuine"),
        (b"]}{", "malformed"),
        (b"\x0b,", "malformed"),
    ],
)
async def test_text_that_only_looks_like_one_item_is_not_read_as_one(between: bytes, reason: str) -> None:
    one, two = (json.dumps({"NotificationRequestItem": signed_item(pspReference=psp)}).encode() for psp in "AB")
    signed = Signed([], b'{"live":"false","notificationItems":[' + one + between + two + b"]}")
    assert await outcome_of(CASE, signed) == reason
    if reason == "genuine":
        kept = {b",": [one, two], b'],"x":[': [one]}.get(between, [two])
        assert [event.body for event in await events_of(CASE, signed)] == kept


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_one_forged_item_refuses_the_batch(position: int) -> None:
    """Adyen's own library checks the first item only."""
    items = [signed_item(pspReference=f"psp{number}") for number in range(3)]
    items[position] = {**items[position], "amount": {"currency": "EUR", "value": 999_999}}
    signed = batch(*items)
    assert await outcome_of(CASE, signed) == "mismatch"
    assert Adyen.util.is_valid_hmac_notification(json.loads(signed.body), KEY) is (position != 0)
    items[position]["additionalData"] = {}
    assert await outcome_of(CASE, batch(*items)) == "missing"


async def test_the_highest_secret_number_of_a_batch_is_reported() -> None:
    new, old = CASE.secrets[:2]
    for items, number in (
        ([signed_item(new), signed_item(new)], 1),
        ([signed_item(new), signed_item(old)], 2),
        ([signed_item(old)], 2),
    ):
        (delivery, *_) = await CASE.source(new, old).verify(batch(*items).request())
        assert delivery.secret_number == number


SIGNED = {
    "pspReference": "x",
    "originalReference": "x",
    "merchantAccountCode": "x",
    "merchantReference": "x",
    "amount": {"currency": "EUR", "value": 1131},
    "eventCode": "x",
    "success": "false",
}


@pytest.mark.parametrize("name", SIGNED)
async def test_each_signed_field_counts(name: str) -> None:
    assert await outcome_of(CASE, batch({**signed_item(), name: SIGNED[name]})) == "mismatch"
    assert await outcome_of(CASE, batch({**signed_item(), "amount": {"currency": "USD", "value": 1130}})) == "mismatch"


async def test_nothing_else_is_signed() -> None:
    made = signed_item()
    changed = {**made, "eventDate": "2020-01-01T00:00:00Z", "reason": "x", "paymentMethod": "x", "live": "true"}
    changed["additionalData"]["authCode"] = "x"
    event = await event_of(CASE, batch(changed, live="true"))
    assert event.signed == "fields"
    assert event.event_id == (await event_of(CASE, batch(made))).event_id


@pytest.mark.parametrize("reference", ["a:b", "::", "a\\b", "\\:/\\/:", "a/b", "é€😀", "", " ", "\n"])
async def test_a_merchant_reference_is_signed_as_it_is_without_escaping(reference: str) -> None:
    assert await outcome_of(CASE, batch(signed_item(merchantReference=reference))) == "genuine"


async def test_a_captured_item_cannot_be_split_into_other_fields() -> None:
    """A colon is allowed in the merchant reference only; else an item could come again under another id."""
    made = signed_item(originalReference="", merchantReference="a:b")
    moved = {
        "pspReference": f"{made['pspReference']}:",
        "originalReference": "TestMerchant",
        "merchantAccountCode": "a",
        "merchantReference": "b",
    }
    forged = {**made, **moved}
    assert Adyen.util.is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": forged}]}, KEY)
    assert await outcome_of(CASE, batch(forged)) == "malformed"
    for name in ("pspReference", "originalReference", "merchantAccountCode", "eventCode"):
        assert await outcome_of(CASE, batch(signed_item(**{name: "a:b"}))) == "malformed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b"{}", "malformed"),
        (b'{"notificationItems":{}}', "malformed"),
        (b'{"notificationItems":[]}', "missing"),
        (b'{"notificationItems":[5]}', "malformed"),
        (b'{"notificationItems":[{}]}', "malformed"),
        (b'{"notificationItems":[{"NotificationRequestItem":null}]}', "malformed"),
        (b'{"notificationItems":' + b"[" * 100_000, "malformed"),
        (b'{"notificationItems":[' + b"{}," * BATCH_EVENTS_MAX + b"{}]}", "malformed"),
    ],
)
async def test_a_body_without_items_has_no_signature(body: bytes, reason: str) -> None:
    assert await outcome_of(CASE, Signed([], body)) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"success": True},
        {"success": "TRUE"},
        {"amount": {"currency": "EUR", "value": "1130"}},
        {"amount": {"currency": "EUR", "value": 1130.0}},
        {"amount": {"currency": "EUR", "value": True}},
        {"amount": {"currency": "EUR", "value": 10**4000}},
        {"pspReference": ""},
        {"pspReference": None},
        {"eventCode": 5},
    ],
)
async def test_fields_of_another_kind_are_refused(changes: dict[str, Any]) -> None:
    assert await outcome_of(CASE, batch(signed_item(**changes))) == "malformed"


@pytest.mark.parametrize("additional", [None, 5, [], {}, {"hmacSignature": None}, {"hmacSignature": 5}])
async def test_a_missing_signature_is_reported_as_missing(additional: object) -> None:
    assert await outcome_of(CASE, batch({**signed_item(), "additionalData": additional})) == "missing"


@pytest.mark.parametrize("secret", ["x", "44782DE", "é", "0x44", " 44"])
def test_a_secret_that_is_not_hex_stops_the_start(secret: str) -> None:
    for case in (CASE, PLATFORM):
        with pytest.raises(ValidationError) as refused:
            case.source(KEY, secret)
        assert "number 2" in str(refused.value)


FIELDS = ["pspReference", "merchantAccountCode", "merchantReference", "eventCode", "success", "hmacSignature"]


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(max_size=20),
    key=st.sampled_from(CASE.secrets[:2]),
    name=st.sampled_from(FIELDS),
    edit=st.tuples(st.integers(0, 44), st.integers(0, 2), st.sampled_from(["", "0", "A", "=", "é", "\\"])),
)
async def test_adyens_library_agrees_on_one_item(text: str, key: str, name: str, edit: tuple[int, int, str]) -> None:
    made = signed_item(key, merchantReference=text)
    holder = made["additionalData"] if name == "hmacSignature" else made
    value, (start, length, inserted) = holder[name], edit
    holder[name] = value[:start] + inserted + value[start + length :]
    try:
        theirs = Adyen.util.is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": made}]}, KEY)
    except (TypeError, ValueError):
        theirs = False
    assert (await outcome_of(CASE, batch(made)) == "genuine") is bool(theirs)


@pytest.mark.parametrize(
    ("live", "mode"),
    [("true", "live"), ("false", "test"), (True, "live"), (False, "test"), (None, None), ("yes", None)],
)
async def test_the_batch_says_the_mode_and_each_item_its_account(live: object, mode: str | None) -> None:
    for event in await events_of(CASE, batch(signed_item(), signed_item(pspReference="P2"), live=live)):
        assert (event.mode, event.account) == (mode, item()["merchantAccountCode"])


@pytest.mark.parametrize(
    "reference", [{"pspReference": "test_AUTHORISATION_1"}, {"originalReference": "test_AUTHORISATION_1"}]
)
async def test_a_made_up_item_is_a_test_in_a_live_batch_too(reference: dict[str, str]) -> None:
    """Adyen sends samples with amounts of its own to a live endpoint, signed with its key."""
    events = await events_of(CASE, batch(signed_item(**reference), signed_item(), live="true"))
    assert [event.mode for event in events] == ["test", "live"]
