"""Mercado Pago: the signed manifest, the unsigned body, and comparison with its own library."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mercadopago.webhook import InvalidWebhookSignatureError, WebhookSignatureValidator
from pydantic import ValidationError

from providers import PROVIDERS
from providers.base import PayloadError
from tests.support.cases.base import NOW, NOW_S, Signed
from tests.support.cases.mercadopago import DATA_ID, REQUEST_ID, MercadoPagoCase, signature
from tests.support.verification import event_of, outcome_of

CASE = MercadoPagoCase()
HEADER = CASE.signature
SECRET = CASE.secrets[0]
BODY = json.dumps(CASE.event("x")).encode()
MS = NOW_S * 1000


def signed(
    value: bytes | None = None, *, query: str | None = None, request_id: bytes | None = REQUEST_ID.encode()
) -> Signed:
    unsigned = () if request_id is None else ((b"x-request-id", request_id),)
    query = f"data.id={DATA_ID}&type=payment" if query is None else query
    return Signed([(HEADER, value or signature(SECRET, MS))], BODY, unsigned, f"/webhooks/a?{query}")


async def test_the_librarys_example_passes() -> None:
    """github.com/mercadopago/sdk-python, tests of its validator: its constants and its digest."""
    value = b"ts=1742505638683,v1=633f91233312dd391ec75fa0bea539cfc2d6c4918873305b84a96cc1c58db71c"
    at = datetime.fromtimestamp(1742505640, UTC)
    assert await outcome_of(CASE, signed(value), "your_secret_key_here", received_at=at) == "genuine"
    assert await outcome_of(CASE, signed(value), "your_secret_key_here", received_at=NOW) == "stale"


async def test_the_event_id_is_made_of_what_is_signed() -> None:
    event = await event_of(CASE, CASE.signed())
    assert event.event_id == f"id:{DATA_ID};request-id:{REQUEST_ID};ts:{MS};"
    assert (event.type, event.resource, event.signed) == ("payment.updated", DATA_ID, "reference")
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)
    assert event.headers == {"data.id": DATA_ID}


async def test_the_accounts_currency_is_passed_on_in_the_headers() -> None:
    source = CASE.source(SECRET, currency="BRL")
    (delivery,) = await source.verify(CASE.signed().request())
    assert delivery.event.headers == {"data.id": DATA_ID, "currency": "BRL"}
    (delivery,) = await source.verify(signed(signature(SECRET, MS, None), query="").request())
    assert delivery.event.headers == {"currency": "BRL"}


@pytest.mark.parametrize("currency", ["", "brl", "BRLX", "BRL\n", 986])
def test_an_invalid_currency_code_stops_the_start(currency: object) -> None:
    with pytest.raises(ValidationError):
        CASE.source(currency=currency)


async def test_a_captured_request_with_another_body_is_the_same_event() -> None:
    changed = json.dumps({**CASE.event("y"), "id": 5, "data": {"id": "other"}, "type": "order"}).encode()
    event = await event_of(CASE, CASE.signed().with_body(changed))
    assert event.event_id == (await event_of(CASE, CASE.signed())).event_id
    assert event.resource == DATA_ID


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": "payment", "action": "payment.created"}, "payment.created"),
        ({"type": "topic_merchant_order_wh", "action": ""}, "topic_merchant_order_wh"),
        ({}, "unknown"),
    ],
)
async def test_the_type_is_the_action_where_there_is_one(body: dict[str, Any], kind: str) -> None:
    event = await event_of(CASE, CASE.deliver(json.dumps(body)))
    assert (event.type, event.occurred_at) == (kind, NOW)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b'{"type":5}', b'{"action":"a\\u0000"}'])
async def test_a_body_mercado_pago_would_not_send_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(PayloadError):
        await event_of(CASE, CASE.deliver_bytes(body))


async def test_one_flipped_bit_in_the_signed_query_or_request_id_is_refused() -> None:
    for bit in range(8 * len(REQUEST_ID)):
        request_id = bytearray(REQUEST_ID.encode())
        request_id[bit // 8] ^= 1 << bit % 8
        assert await outcome_of(CASE, signed(request_id=bytes(request_id))) != "genuine"
    for bit in range(8 * len(DATA_ID)):
        data_id = bytearray(DATA_ID.encode())
        data_id[bit // 8] ^= 1 << bit % 8
        assert await outcome_of(CASE, signed(query=f"data.id={quote(bytes(data_id))}")) != "genuine"


async def test_an_absent_part_is_left_out_of_the_manifest() -> None:
    without_request_id = signature(SECRET, MS, request_id=None)
    assert await outcome_of(CASE, signed(without_request_id, request_id=None)) == "genuine"
    assert await outcome_of(CASE, signed(without_request_id)) == "mismatch"
    assert await outcome_of(CASE, signed(request_id=None)) == "mismatch"
    assert await outcome_of(CASE, signed(query="type=payment")) == "mismatch"
    event = await event_of(CASE, signed(signature(SECRET, MS, data_id=None), query="type=payment"))
    assert (event.event_id, event.resource) == (f"request-id:{REQUEST_ID};ts:{MS};", DATA_ID)
    assert event.headers == {}


@pytest.mark.parametrize(
    ("body", "type_", "resource"),
    [
        ({"resource": "900000000001", "topic": "payment"}, "payment", "900000000001"),
        ({"resource": 900000000001, "topic": "payment"}, "payment", "900000000001"),
        ({"resource": "https://api.mercadopago.com/v1/payments/ORD1", "topic": "payment"}, "payment", "ord1"),
        (
            {"action": "payment.created", "type": "payment", "data": {"id": "900000000001"}},
            "payment.created",
            "900000000001",
        ),
        ({"action": None, "type": "payment", "data": []}, "payment", None),
        ({"resource": "a;b", "topic": None}, "unknown", None),
        ({"resource": {"id": 1}, "topic": "payment"}, "payment", None),
    ],
)
async def test_without_an_id_in_the_query_the_body_names_the_resource(
    body: dict[str, Any], type_: str, resource: str | None
) -> None:
    """Both shapes of a notification about one payment share its resource. No money is read for an unsigned id."""
    request = signed(signature(SECRET, MS, data_id=None), query="id=900000000001&topic=payment")
    event = await event_of(CASE, request.with_body(json.dumps(body).encode()))
    assert (event.type, event.resource) == (type_, resource or event.event_id)
    assert event.headers == {}


@pytest.mark.parametrize(
    ("live_mode", "mode"), [(True, "live"), (False, "test"), ("true", "live"), (None, None), (1, None), ([], None)]
)
async def test_live_mode_and_the_account_are_read(live_mode: object, mode: str | None) -> None:
    body = {**CASE.event("x"), "live_mode": live_mode, "user_id": 724484980}
    event = await event_of(CASE, CASE.deliver(json.dumps(body)))
    assert (event.mode, event.account) == (mode, "724484980")


async def test_an_id_in_upper_case_may_be_signed_in_either() -> None:
    """The documentation and the library contradict each other. One payment still has one name."""
    upper = DATA_ID.upper()
    for value in (signature(SECRET, MS), signature(SECRET, MS, upper)):
        event = await event_of(CASE, signed(value, query=f"data.id={upper}"))
        assert (event.resource, event.headers) == (DATA_ID, {"data.id": upper})
    assert await outcome_of(CASE, signed(signature(SECRET, MS, upper))) == "mismatch"
    assert (
        await outcome_of(CASE, signed(query=f"data.id={DATA_ID[:-1]}{DATA_ID[-1]}".replace("ord", "Ord"))) == "mismatch"
    )


@pytest.mark.parametrize(
    "query",
    [
        f"data.id={DATA_ID}&data.id={DATA_ID}",
        f"data.id={DATA_ID}%3Brequest-id%3A{REQUEST_ID}",
        f"data.id={DATA_ID}%20",
        "data.id=%FF",
        f"data.id={'x' * 200}",
        "&".join(["a=b"] * 30),
    ],
)
async def test_a_query_without_exactly_one_valid_id_is_refused(query: str) -> None:
    assert await outcome_of(CASE, signed(query=query)) == "malformed"


async def test_the_manifest_cannot_be_cut_otherwise() -> None:
    """Without the header, and with its value in the id, the signed text would be the same."""
    moved = signed(query=f"data.id={quote(f'{DATA_ID};request-id:{REQUEST_ID}')}", request_id=None)
    assert await outcome_of(CASE, moved) == "malformed"
    request_id = b"a;ts:1"
    assert await outcome_of(CASE, signed(request_id=request_id)) == "malformed"
    twice = replace(signed(), unsigned=((b"x-request-id", b"a"), (b"x-request-id", b"b")))
    assert await outcome_of(CASE, twice) == "malformed"


@pytest.mark.parametrize("ts", [MS, NOW_S, MS + 299_999, NOW_S - 299])
async def test_a_timestamp_is_in_milliseconds_or_seconds(ts: int) -> None:
    assert await outcome_of(CASE, signed(signature(SECRET, ts))) == "genuine"


@pytest.mark.parametrize(
    ("ts", "reason"), [(NOW_S - 301, "stale"), (MS - 301_000, "stale"), (NOW_S + 301, "future"), (0, "stale")]
)
async def test_the_tolerance_holds_for_both(ts: int, reason: str) -> None:
    assert await outcome_of(CASE, signed(signature(SECRET, ts))) == reason


async def test_without_a_tolerance_any_age_passes() -> None:
    kind = PROVIDERS["mercadopago"]
    source = kind(kind.Source.model_validate({"source": "a", "provider": "mercadopago", "secrets": CASE.secrets[:1]}))
    for ts in (0, 1_000, MS, 10**14 - 1):
        assert await source.verify(signed(signature(SECRET, ts)).request())


async def test_the_parts_of_the_header() -> None:
    genuine = signature(SECRET, MS).partition(b",v1=")[2]
    ts = b"ts=%d" % MS
    for value, expected in {
        ts + b", v1=" + genuine: "genuine",
        b"v1=" + genuine + b"," + ts: "genuine",
        ts + b",v2=x,,y,v1=" + genuine: "genuine",
        ts + b",v1=" + b"0" * 64 + b",v1=" + genuine: "genuine",
        ts + b",v1=" + genuine.upper(): "mismatch",
        ts + b"," + ts + b",v1=" + genuine: "malformed",
        ts + b",v2=" + genuine: "malformed",
        b"ts=,v1=" + genuine: "malformed",
        b"ts=-1,v1=" + genuine: "malformed",
        b"ts=" + b"1" * 15 + b",v1=" + genuine: "malformed",
        "ts=\u0661,v1=".encode() + genuine: "malformed",
        b"v1=" + genuine: "malformed",
        ts: "malformed",
    }.items():
        assert await outcome_of(CASE, signed(value)) == expected, value


def sdk_passes(value: bytes, request_id: str | None, data_id: str) -> bool:
    """Return what its own validator says, without tolerance, which would take milliseconds for seconds."""
    try:
        WebhookSignatureValidator.validate(value.decode(), request_id, data_id, SECRET)
    except (InvalidWebhookSignatureError, TypeError):
        return False
    return True


@settings(deadline=None, max_examples=200)
@given(
    secret=st.sampled_from(CASE.secrets[:2]),
    request_id=st.none() | st.sampled_from([REQUEST_ID, "other"]),
    data_id=st.sampled_from([DATA_ID, "123", "Mixed1"]),
    edit=st.tuples(st.integers(0, 90), st.integers(0, 3), st.sampled_from(["", ",", "=", "v1=", "0", "a"])),
)
async def test_the_verdicts_agree(
    secret: str, request_id: str | None, data_id: str, edit: tuple[int, int, str]
) -> None:
    value, (start, length, inserted) = signature(secret, MS, data_id, request_id), edit
    value = value[:start] + inserted.encode() + value[start + length :]
    request = signed(value, query=f"data.id={data_id}", request_id=request_id.encode() if request_id else None)
    ours = await outcome_of(CASE, request) == "genuine"
    # Of a part that is there twice the library takes the last, and ours any v1 and no second ts.
    repeated = value.count(b"v1=") > 1 or value.count(b"ts=") > 1
    assert ours == sdk_passes(value, request_id, data_id) or repeated
