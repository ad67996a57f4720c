"""Square: the signed URL, what its events are about, and agreement with its own library."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from square.utils.webhooks_helper import verify_signature

from providers.base import PayloadError
from providers.square.webhook import URL_CHARS_MAX
from tests.support.cases.base import Signed
from tests.support.cases.square import URL, SquareCase
from tests.support.verification import event_of, outcome_of

CASE = SquareCase()
HEADER = CASE.signature


LONG = f"https://a/{'x' * URL_CHARS_MAX}"


async def test_squares_published_example_passes() -> None:
    """The published one: github.com/square/square-python-sdk, tests of the webhooks helper."""
    url, key = "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9", "Ibxx_5AKakO-3qeNVR61Dw"
    body = {
        "merchant_id": "MLEFBHHSJGVHD",
        "type": "webhooks.test_notification",
        "event_id": "ac3ac95b-f97d-458c-a6e6-18981597e05f",
        "created_at": "2022-07-13T20:30:59.037339943Z",
        "data": {"type": "webhooks", "id": "bc368e64-01aa-407e-b46e-3231809b1129"},
    }
    raw = json.dumps(body, separators=(",", ":")).encode()
    signed = Signed([(HEADER, b"GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=")], raw)
    event = await event_of(CASE, signed, key, notification_url=url)
    assert (event.event_id, event.type) == (body["event_id"], body["type"])
    assert event.resource == "bc368e64-01aa-407e-b46e-3231809b1129"
    assert event.occurred_at == datetime(2022, 7, 13, 20, 30, 59, 37339, tzinfo=UTC)
    assert await outcome_of(CASE, signed, key, notification_url=f"{url}/") == "mismatch"


async def test_one_flipped_bit_in_the_url_is_refused() -> None:
    signed = CASE.signed()
    for bit in range(8 * len(URL)):
        url = bytearray(URL.encode())
        url[bit // 8] ^= 1 << bit % 8
        try:
            assert await outcome_of(CASE, signed, notification_url=url.decode()) == "mismatch"
        except (ValidationError, UnicodeDecodeError):
            continue


async def test_the_url_is_the_setting_whatever_was_requested() -> None:
    signed = CASE.signed()
    for target in ("/", "/elsewhere?tenant=2", "//x", "*"):
        assert await outcome_of(CASE, Signed(signed.headers, signed.body, target=target)) == "genuine"


@pytest.mark.parametrize(
    "url",
    [None, "", "example.org", "ftp://example.org/", "https://", "https://é.org", "https://a b", "https://a\n", 5, LONG],
)
def test_an_impossible_url_stops_the_start(url: object) -> None:
    with pytest.raises(ValidationError) as refused:
        CASE.source(notification_url=url)
    assert "notification_url" in str(refused.value)


async def test_the_old_signature_header_is_not_read() -> None:
    ((_, value),) = CASE.signed().headers
    assert await outcome_of(CASE, CASE.signed().with_headers([(b"x-square-signature", value)])) == "missing"


@pytest.mark.parametrize(
    ("data", "resource"),
    [
        ({"id": "pay_1", "object": {"payment": {"id": "pay_1"}}}, "pay_1"),
        ({"id": "re_1", "object": {"refund": {"id": "re_1", "payment_id": "pay_1"}}}, "pay_1"),
        ({"id": "dp_1", "object": {"dispute": {"disputed_payment": {"payment_id": "pay_1"}}}}, "pay_1"),
        ({"id": "dp_1", "object": {"dispute": {"disputed_payment": None}}}, "dp_1"),
        ({"id": "inv_1", "object": {"invoice": {"id": "inv_1"}}}, "inv_1"),
        ({"id": None, "object": []}, "evt_1"),
        ({}, "evt_1"),
    ],
)
async def test_refunds_and_disputes_are_about_their_payment(data: dict[str, Any], resource: str) -> None:
    event = await event_of(CASE, CASE.deliver(json.dumps({**CASE.event("x"), "data": data})))
    assert (event.event_id, event.type, event.resource) == ("evt_1", "payment.updated", resource)


@pytest.mark.parametrize("name", ["event_id", "type"])
@pytest.mark.parametrize("value", [None, "", 5, "a\x00"])
async def test_an_undocumented_body_is_a_bad_payload(name: str, value: object) -> None:
    with pytest.raises(PayloadError):
        await event_of(CASE, CASE.deliver(json.dumps({**CASE.event("x"), name: value})))


async def test_an_empty_body_can_be_signed_although_the_sdk_refuses_it() -> None:
    signed = CASE.deliver_bytes(b"")
    assert await outcome_of(CASE, signed) == "genuine"
    assert not sdk_passes(signed)
    with pytest.raises(PayloadError):
        await event_of(CASE, signed)


def sdk_passes(signed: Signed) -> bool:
    """Return whether Square's own code accepts it. It takes text only."""
    return verify_signature(
        request_body=signed.body.decode(),
        signature_header=signed.headers[0][1].decode(),
        signature_key=CASE.secrets[0],
        notification_url=URL,
    )


@settings(deadline=None, max_examples=150)
@given(
    body=st.text(min_size=1, max_size=40),
    key=st.sampled_from(CASE.secrets[:2]),
    edit=st.tuples(st.integers(0, 44), st.integers(0, 2), st.sampled_from(["", "0", "A", "=", "é"])),
)
async def test_squares_library_agrees(body: str, key: str, edit: tuple[int, int, str]) -> None:
    signed = CASE.deliver(body, key)
    ((_, value),) = signed.headers
    start, length, inserted = edit
    signed = signed.with_header(HEADER, value[:start] + inserted.encode() + value[start + length :])
    assert (await outcome_of(CASE, signed) == "genuine") is sdk_passes(signed)
