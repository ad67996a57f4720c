"""PayPal: a genuine transmission of 2019, changed headers and bodies, and what a CRC-32 does not protect."""

from datetime import UTC, datetime, timedelta
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from providers import PROVIDERS
from providers.base import Headers, Request
from tests.support.cases.public_keys import (
    ISSUED_TO,
    PayPalCase,
    root,
    rsa_sha256,
)
from tests.support.paypal_2019 import SENT, SENT_AT, SENT_BODY, WEBHOOK_ID, paypal, refused, sent
from tests.support.verification import event_of, outcome_of

CASE = PayPalCase()


async def test_a_transmission_of_2019_was_genuine_then() -> None:
    source = paypal()
    (delivery,) = await source.verify(sent())
    assert source.certificate_expires_at
    assert source.certificate_expires_at > SENT_AT
    event = delivery.event
    assert event.event_id == "afa30d40-ca4a-11e9-ab68-7d4e2605c70c"
    assert (event.type, event.resource) == ("PAYMENTS.PAYMENT.CREATED", "PAYID-LVT22VY7N839502VJ678725M")
    assert event.occurred_at == datetime(2019, 8, 29, 10, 49, 3, 439_000, tzinfo=UTC)
    assert event.signed == "weak"
    assert event.body == SENT_BODY


async def test_another_webhook_id_or_body_is_refused() -> None:
    await refused(paypal(webhook_id="1JE4291016473214C"), sent())
    await refused(paypal(), sent(body=SENT_BODY + b"\n"))
    await refused(paypal(), sent(body=b""))


async def test_each_webhook_id_counts_as_a_secret() -> None:
    source = paypal(webhook_id=["1JE4291016473214C", "96605875FF6516633"], secrets=[WEBHOOK_ID])
    (delivery,) = await source.verify(sent())
    assert delivery.secret_number == 3


@pytest.mark.parametrize("name", [each.decode() for each in SENT])
async def test_each_header_is_needed_once(name: str) -> None:
    key = name.replace("-", "_")
    assert "there is no" in await refused(paypal(), sent(SENT_AT, SENT_BODY, **{key: b""}))
    headers = [*SENT.items(), (name.encode(), b"x")]
    twice = Request("POST", "/webhooks/a", Headers(headers), SENT_BODY, SENT_AT)
    if name == "PAYPAL-TRANSMISSION-SIG":
        assert await paypal().verify(twice)
    else:
        assert "more than once" in await refused(paypal(), twice) or name == "PAYPAL-AUTH-ALGO"


@pytest.mark.parametrize("algorithm", [b"SHA1withRSA", b"none", b"HS256", b"sha256withrsa", b"\xff"])
async def test_no_other_algorithm_is_accepted(algorithm: bytes) -> None:
    assert "PAYPAL-AUTH-ALGO" in await refused(paypal(), sent(PAYPAL_AUTH_ALGO=algorithm))


async def test_the_borders_between_signed_parts_cannot_be_moved() -> None:
    """`id|time|…` is signed: an id that contains a border could give the same text."""
    moved = sent(
        PAYPAL_TRANSMISSION_ID=b"afa30d40-ca4a-11e9-ab68-7d4e2605c70c|2019-08-29T10:49:33Z",
        PAYPAL_TRANSMISSION_TIME=WEBHOOK_ID.encode(),
    )
    assert "borders" in await refused(paypal(), moved)


def forged(body: bytes, wanted: int) -> bytes:
    """Return the body with four more bytes, which give it the wanted CRC-32."""
    table = [crc32(bytes([n])) ^ crc32(b"\x00") for n in range(256)]
    rows = {value >> 24: number for number, value in enumerate(table)}
    state, numbers = wanted ^ 0xFFFFFFFF, []
    for _ in range(4):
        numbers.append(rows[state >> 24])
        state = ((state ^ table[numbers[-1]]) << 8) & 0xFFFFFFFF
    register, tail = crc32(body) ^ 0xFFFFFFFF, b""
    for number in reversed(numbers):
        tail += bytes([number ^ (register & 0xFF)])
        register = table[number] ^ (register >> 8)
    return body + tail


async def test_another_body_with_the_same_checksum_is_the_same_event() -> None:
    """PayPal's weakness. So the event is marked weak, and its id is what is signed."""
    text = SENT_BODY.replace(b"WH-7MU294299R542214K", b"WH-AAAAAAAAAAAAAAAAA").replace(b'"30.11"', b'"9999.11"')
    body = forged(text, crc32(SENT_BODY))
    assert crc32(body) == crc32(SENT_BODY)
    proof = await paypal().authenticate(sent(body=body))
    assert proof.signed == "weak"


@settings(deadline=None)
@given(bit=st.integers(0, 8 * 4096))
async def test_one_flipped_bit_in_the_body_is_refused(bit: int) -> None:
    position, mask = bit // 8 % len(SENT_BODY), 1 << bit % 8
    body = SENT_BODY[:position] + bytes([SENT_BODY[position] ^ mask]) + SENT_BODY[position + 1 :]
    await refused(paypal(trusted_certificates=root()), sent(body=body))


async def test_the_time_is_checked_where_a_tolerance_is_set() -> None:
    late, early = SENT_AT + timedelta(seconds=601), SENT_AT - timedelta(seconds=601)
    assert await paypal().verify(sent(late))
    source = paypal(tolerance_s=600)
    assert await source.verify(sent(SENT_AT + timedelta(seconds=600)))
    assert "signed 601 s before" in await refused(source, sent(late))
    assert "signed 601 s after" in await refused(source, sent(early))


async def test_an_unreadable_time_is_refused_only_with_a_tolerance() -> None:
    time = b"yesterday"
    message = b"a|%b|%b|%d" % (time, CASE.secrets[0].encode(), crc32(b"{}"))
    signed = CASE.signed().with_body(b"{}").with_headers(_headers(b"a", time, message))
    assert await outcome_of(CASE, signed, tolerance_s=60) == "malformed"
    assert await outcome_of(CASE, signed) == "genuine"


def _headers(transmission_id: bytes, time: bytes, message: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"PAYPAL-TRANSMISSION-ID", transmission_id),
        (b"PAYPAL-TRANSMISSION-TIME", time),
        (b"PAYPAL-AUTH-ALGO", b"SHA256withRSA"),
        (b"PAYPAL-TRANSMISSION-SIG", rsa_sha256(ISSUED_TO, message)),
    ]


CAPTURE = "2GG279541U471931P"
RELATED: list[tuple[str, dict[str, object]]] = [
    ("capture", {"id": CAPTURE, "supplementary_data": {"related_ids": {"order_id": "5O190127TN364715T"}}}),
    ("refund", {"id": "1JU08902781691411", "links": [
        {"rel": "self", "href": "https://api.paypal.com/v2/payments/refunds/1JU08902781691411"},
        {"rel": "up", "href": f"https://api.paypal.com/v2/payments/captures/{CAPTURE}"},
    ]}),
    ("refund", {"id": "6YX43824R4443062K", "sale_id": CAPTURE, "parent_payment": "PAY-1"}),
    ("sale", {"id": CAPTURE, "parent_payment": "PAY-1"}),
    ("dispute", {"dispute_id": "PP-D-1", "disputed_transactions": [{"seller_transaction_id": CAPTURE}]}),
    ("checkout-order", {"id": "5O1", "purchase_units": [{"payments": {"captures": [{"id": CAPTURE}]}}]}),
    ("checkout-order", {"id": "5O1", "purchase_units": [{}, {"payments": {"captures": [{"id": CAPTURE}]}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "resource"), RELATED)
async def test_all_events_of_a_payment_are_about_its_capture(kind: str, resource: dict[str, object]) -> None:
    body = CASE.write({**CASE.event("x"), "resource_type": kind, "resource": resource})
    assert (await event_of(CASE, CASE.deliver(body))).resource == CAPTURE


@pytest.mark.parametrize(
    ("resource", "about"),
    [
        ({"id": "5O1", "purchase_units": [{}]}, "5O1"),
        ({"id": "5O1", "purchase_units": [{"payments": {"captures": [{"id": "C1"}, {"id": "C2"}]}}]}, "5O1"),
        ({"id": "5O1", "purchase_units": [{"payments": {"captures": [{"id": each}]}} for each in ("C1", "C2")]}, "5O1"),
        ({"id": "5O1", "purchase_units": [None, {"payments": {"captures": {"id": "C1"}}}]}, "5O1"),
        ({"dispute_id": "PP-D-1"}, "PP-D-1"),
        ({}, CASE.event("x")["id"]),
        (None, CASE.event("x")["id"]),
    ],
)
async def test_an_object_without_exactly_one_capture_is_about_itself(resource: object, about: str) -> None:
    body = CASE.write({**CASE.event("x"), "resource_type": "checkout-order", "resource": resource})
    assert (await event_of(CASE, CASE.deliver(body))).resource == about


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({}, "it is missing"),
        ({"webhook_id": []}, "it is missing"),
        ({"webhook_id": ""}, "not the id of a webhook"),
        ({"webhook_id": "a|b"}, "not the id of a webhook"),
        ({"webhook_id": "WEBHOOK_ID"}, "simulator"),
        ({"secrets": ["WEBHOOK_ID"]}, "simulator"),
        ({"secrets": [""]}, "empty"),
        ({"webhook_id": "A1", "trusted_certificates": "none"}, "not certificates"),
        ({"webhook_id": "A1", "tolerance_s": 0}, "greater than or equal to 1"),
    ],
)
def test_a_table_that_cannot_work_is_refused(table: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        PROVIDERS["paypal"].Source.model_validate({"source": "a", "provider": "paypal", **table})
