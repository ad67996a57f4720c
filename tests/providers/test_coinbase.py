"""Coinbase: its header with two schemes, the one that counts, and events of many forms."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.base import PayloadError
from providers.coinbase import COVERED_HEADERS_MAX
from tests.support.cases.base import NOW_S, RawHeaders, Signed
from tests.support.cases.coinbase import CoinbaseCase, v0, v1
from tests.support.verification import event_of, outcome_of

CASE = CoinbaseCase()
HEADER = CASE.signature
SECRET = CASE.secrets[0]
BODY = json.dumps(CASE.event("x")).encode()

# The published ones: github.com/hook0/hook0, clients/conformance/signature.json, the contract of all its libraries.
HOOK0_SECRET = "a-subscription-secret"
HOOK0_BODY = b'{"event":"user.created"}'
HOOK0_V0 = b"d17d66b66fca89390c5b967c45e8928fc732db07a0aabe8167b1e98213081ffe"
HOOK0_V1 = b"19a6fb8f6581715b241a93af02a58611c3b0ac7b747a8d2a5b120ee418d0c347"
HOOK0_V1_TURNED = b"bf5f4e5fe0c9143510ae192f983316a09ed392d0104d2ce0faa3d7bce3687acb"
HOOK0_AT = datetime.fromtimestamp(1_800_000_000, UTC)


def weak(body: bytes = BODY) -> Signed:
    """Signed with v0 alone."""
    return Signed([(HEADER, b"t=%d,v0=%b" % (NOW_S, v0(body, SECRET)))], body)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"t=1800000000,v0=" + HOOK0_V0, "genuine"),
        (b"t=1800000000,h=x-event-id x-delivery-id,v1=" + HOOK0_V1, "genuine"),
        (b"t=1800000000,h=x-delivery-id x-event-id,v1=" + HOOK0_V1_TURNED, "genuine"),
        (b"t=1800000000,h=x-event-id x-delivery-id,v0=" + HOOK0_V1_TURNED + b",v1=" + HOOK0_V1, "genuine"),
        (b"t=1800000000,h=x-event-id x-delivery-id,v0=" + HOOK0_V0 + b",v1=" + HOOK0_V1_TURNED, "mismatch"),
        (b"t=1800000000,h=x-delivery-id x-event-id,v1=" + HOOK0_V1, "mismatch"),
        (b"t=1800000000,h=x-event-id x-missing,v1=" + HOOK0_V1, "missing"),
        (b"t=1800000000,v0=" + HOOK0_V0[:-1], "mismatch"),
        (b"t=1800000000,v0=" + HOOK0_V0[:-1] + b"z", "mismatch"),
    ],
)
async def test_the_contract_of_hook0_is_kept(value: bytes, expected: str) -> None:
    headers = [(b"x-event-id", b"evt-1"), (b"x-delivery-id", b"dlv-1"), (b"content-type", b"application/json")]
    signed = Signed([*headers, (HEADER, value)], HOOK0_BODY)
    assert await outcome_of(CASE, signed, HOOK0_SECRET, received_at=HOOK0_AT) == expected


async def test_the_event_has_coinbases_id_type_and_time() -> None:
    event = await event_of(CASE, CASE.signed())
    assert (event.event_id, event.type, event.resource) == ("e_1", "payments.transfers.completed", "transfer_1")
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)
    assert event.headers == {"x-event-id": "evt-1"}


CHECKOUT = {"id": "chk_1", "eventType": "checkout.payment.success", "createdAt": "2026-09-17T11:00:00Z"}


@pytest.mark.parametrize(
    ("body", "kind", "resource"),
    [
        ({**CHECKOUT, "updatedAt": "2026-09-17T11:59:58Z"}, "checkout.payment.success", "chk_1"),
        ({"eventType": "onramp.transaction.success", "transactionId": "tx_1"}, "onramp.transaction.success", "tx_1"),
        ({"eventType": "onramp.transaction.success", "orderId": "or_1"}, "onramp.transaction.success", "or_1"),
        ({"type": "onchain.activity", "data": {"transactionId": "tx_1"}}, "onchain.activity", "tx_1"),
        ({"eventType": "wallet.new", "data": {"id": "w_1"}}, "wallet.new", "w_1"),
        ({"type": 5}, "unknown", None),
        ({}, "unknown", None),
    ],
)
async def test_an_event_without_an_id_is_identified_by_what_was_signed(
    body: dict[str, Any], kind: str, resource: str | None
) -> None:
    raw = json.dumps(body)
    event = await event_of(CASE, CASE.deliver(raw))
    assert event.event_id == f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"
    assert (event.type, event.resource) == (kind, resource or event.event_id)


async def test_a_captured_request_is_the_same_event_without_its_stronger_signature() -> None:
    """Both are sent, so anyone who captured a request can remove one, and with it the protection of the headers."""
    for body in (BODY, json.dumps(CHECKOUT).encode()):
        strong = await event_of(CASE, CASE.deliver_bytes(body))
        signed = weak(body)
        again = await event_of(CASE, signed.with_headers([(b"x-event-id", b"evt-2"), *signed.headers]))
        assert (again.event_id, again.body) == (strong.event_id, strong.body)


@pytest.mark.parametrize("body", [None, 5, "x", [], {"eventId": 5}, {"eventType": 5}, {"eventId": "a\x00"}])
async def test_a_body_that_is_not_an_event_is_a_bad_payload(body: object) -> None:
    with pytest.raises(PayloadError):
        await event_of(CASE, CASE.deliver(json.dumps(body)))


async def test_moved_borders_between_names_values_and_body_leave_no_event() -> None:
    """What was signed as v1 can be cut otherwise, or be taken for a v0; only the sender's cut leaves an object."""
    body = b'{"note":"x.{}"}'
    strong = v1(body, SECRET, x_event_id="evt-1")
    moved: list[tuple[RawHeaders, bytes]] = [
        ([(b"x-event-id", b'evt-1.{"note":"x'), (HEADER, b"t=%d,h=x-event-id,v1=%b" % (NOW_S, strong))], b'{}"}'),
        ([(HEADER, b"t=%d,v0=%b" % (NOW_S, strong))], b"x-event-id.evt-1." + body),
    ]
    for headers, rest in moved:
        assert await outcome_of(CASE, Signed(headers, rest)) == "genuine"
        with pytest.raises(PayloadError):
            await event_of(CASE, Signed(headers, rest))


def strong(names: bytes, *headers: tuple[bytes, bytes], signature: bytes | None = None) -> Signed:
    covered = signature or v1(BODY, SECRET, x_event_id="evt-1")
    return Signed([*headers, (HEADER, b"t=%d,h=%b,v1=%b" % (NOW_S, names, covered))], BODY)


async def test_the_covered_headers_must_come_once_and_unchanged() -> None:
    evt = (b"X-Event-ID", b"evt-1")
    assert await outcome_of(CASE, strong(b"x-event-id", evt)) == "genuine"
    assert await outcome_of(CASE, strong(b"x-event-id", evt, evt)) == "malformed"
    assert await outcome_of(CASE, strong(b"x-event-id", (b"x-event-id", b""))) == "missing"
    assert await outcome_of(CASE, strong(b"X-Event-Id", evt)) == "mismatch"
    assert await outcome_of(CASE, strong(b"", evt)) == "missing"
    assert await outcome_of(CASE, strong(b"x-\xe9", evt)) == "malformed"
    assert await outcome_of(CASE, strong(b" ".join([b"x-event-id"] * (COVERED_HEADERS_MAX + 1)), evt)) == "malformed"


async def test_the_parts_of_the_header_must_come_once() -> None:
    signed = weak()
    genuine = v0(BODY, SECRET)
    for value, expected in {
        b"v0=%b,t=%d" % (genuine, NOW_S): "genuine",
        b"t=%d,x=y,,v0=%b" % (NOW_S, genuine): "genuine",
        b"t=%d,v0=%b,v0=%b" % (NOW_S, b"0" * 64, genuine): "genuine",
        b"t=%d,v0=%b,v1=" % (NOW_S, genuine): "malformed",
        b"t=%d,h=x-event-id,v0=%b,v1=" % (NOW_S, genuine): "missing",
        b"t=%d,t=%d,v0=%b" % (NOW_S, NOW_S, genuine): "malformed",
        b"t=%d,v0=%b" % (NOW_S, genuine.upper()): "mismatch",
        b"t=%d, v0=%b" % (NOW_S, genuine): "genuine",
        b"t= %d,v0=%b" % (NOW_S, genuine): "malformed",
        b"v0=%b" % genuine: "malformed",
        b"t=%d" % NOW_S: "malformed",
    }.items():
        assert await outcome_of(CASE, signed.with_header(HEADER, value)) == expected, value


async def test_one_flipped_bit_under_the_weaker_scheme_is_refused() -> None:
    signed = weak()
    for bit in range(8 * len(BODY)):
        body = bytearray(BODY)
        body[bit // 8] ^= 1 << bit % 8
        assert await outcome_of(CASE, signed.with_body(bytes(body))) == "mismatch"
