"""The `hmac` provider: its header, and a body whose amounts were never floats."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.event import Event
from providers.base import PayloadError, SignatureError
from providers.generic_hmac import models
from providers.payload import read_decimal_json
from tests.support.cases.base import Signed
from tests.support.cases.generic_hmac import GenericHmacCase

CASE = GenericHmacCase()
SECRET = CASE.secrets[0]


async def event_of(body: str) -> Event:
    (delivery,) = await CASE.source().verify(Signed(CASE.sign(body, SECRET), body.encode()).request())
    return delivery.event


def with_json(field: str, raw: str) -> str:
    """Return a valid body with the given JSON text as one field, untouched by any JSON library."""
    event = {**CASE.event("x"), field: "@"}
    return json.dumps(event).replace('"@"', raw)


def amount_read(raw: str) -> Decimal:
    """Return the amount of the provider's model, to compare with its text."""
    return read_decimal_json(models.Money, with_json("amount", raw).encode()).amount


async def test_the_event_id_is_the_transaction_and_its_status() -> None:
    event = await event_of(json.dumps(CASE.event("x")))
    assert (event.event_id, event.type, event.resource) == ("t_1:COMPLETED", "payment.completed", "t_1")
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)


async def test_an_event_id_in_the_body_takes_precedence() -> None:
    event = await event_of(json.dumps({**CASE.event("x"), "event_id": "e_1"}))
    assert (event.event_id, event.resource) == ("e_1", "t_1")


async def test_null_means_absent() -> None:
    event = await event_of(json.dumps({**CASE.event("x"), "event_id": None, "timestamp": None}))
    assert (event.event_id, event.occurred_at) == ("t_1:COMPLETED", None)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "PENDING"])
async def test_each_status_is_a_type(status: str) -> None:
    event = await event_of(json.dumps({**CASE.event("x"), "status": status}))
    assert (event.type, event.event_id) == (f"payment.{status.lower()}", f"t_1:{status}")


@pytest.mark.parametrize("currency", ["EUR", "eur", "Eur"])
async def test_a_currency_is_three_letters_in_any_case(currency: str) -> None:
    event = await event_of(json.dumps({**CASE.event("x"), "currency": currency}))
    assert event.event_id == "t_1:COMPLETED"


@pytest.mark.parametrize(
    ("raw", "time"),
    [
        ('"2026-09-17T12:00:00Z"', datetime(2026, 9, 17, 12, tzinfo=UTC)),
        ('"2026-09-17T14:00:00.25+02:00"', datetime(2026, 9, 17, 12, 0, 0, 250_000, tzinfo=UTC)),
        ('"2026-09-17T12:00:00"', datetime(2026, 9, 17, 12, tzinfo=UTC)),
        ("1789646400", datetime(2026, 9, 17, 12, tzinfo=UTC)),
        ("1789646400.25", datetime(2026, 9, 17, 12, 0, 0, 250_000, tzinfo=UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
async def test_a_time_is_iso_8601_or_unix_seconds(raw: str, time: datetime) -> None:
    event = await event_of(with_json("timestamp", raw))
    assert event.occurred_at == time


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("transaction_id", "null"),
        ("transaction_id", "5"),
        ("transaction_id", '""'),
        ("transaction_id", '"a\\u0000"'),
        ("transaction_id", '"\\ud800"'),
        ("status", '"completed"'),
        ("status", '"REFUNDED"'),
        ("status", "null"),
        ("currency", '"EURO"'),
        ("currency", '"EU"'),
        ("currency", '"€UR"'),
        ("currency", '"EUR\\n"'),
        ("currency", "978"),
        ("event_id", '""'),
        ("event_id", "5"),
        ("timestamp", '"soon"'),
        ("timestamp", '"1789646400"'),
        ("timestamp", "1789646400000"),
        ("timestamp", "1e400"),
        ("timestamp", "NaN"),
        ("timestamp", "true"),
        ("timestamp", '"0001-01-01T00:00:00+23:59"'),
        *(
            ("amount", raw)
            for raw in (
                "null",
                "true",
                "[]",
                "{}",
                "NaN",
                "Infinity",
                "-Infinity",
                '"NaN"',
                '"Infinity"',
                '"1e3"',
                '""',
                '" 1"',
                '"1,00"',
                '"1_000"',
                '"+1"',
                '"-1"',
                '"\u0661"',
                '"1."',
                '".5"',
                "-1",
                "-0.01",
                "1e400",
                "1e16",
                "1e-7",
                "1e999999999999",
                "1e99999999999999999999",
                "1e-99999999999999999999",
                "1" + "0" * 16,
                "0.1234567",
                "9" * 5000,
                '"' + "9" * 5000 + '"',
            )
        ),
    ],
)
async def test_a_value_outside_the_format_is_a_bad_payload(field: str, raw: str) -> None:
    with pytest.raises(PayloadError):
        await event_of(with_json(field, raw))


@pytest.mark.parametrize("field", ["transaction_id", "status", "amount", "currency"])
async def test_a_missing_field_is_refused_by_name(field: str) -> None:
    event: dict[str, Any] = CASE.event("x")
    del event[field]
    with pytest.raises(PayloadError, match=field):
        await event_of(json.dumps(event))


@settings(deadline=None, max_examples=500)
@given(amount=st.decimals(min_value=0, max_value=Decimal("999999999999999.999999"), places=6), as_text=st.booleans())
def test_an_amount_is_read_exactly(amount: Decimal, as_text: bool) -> None:
    """21 digits: a float holds 15 to 17 of them."""
    read = amount_read(f'"{amount:f}"' if as_text else f"{amount:f}")
    assert str(read) == f"{amount:f}"


@pytest.mark.parametrize("raw", ["0.1", "0.10", "0.300000", "999999999999999.999999", "123456789012345.1", "0", "1E+2"])
def test_no_digit_of_an_amount_is_lost_or_added(raw: str) -> None:
    assert str(amount_read(raw)) == str(Decimal(raw))
    assert amount_read("0.1") + amount_read("0.2") == amount_read("0.3")


async def test_hex_may_be_upper_case_but_not_mixed() -> None:
    """Both forms are common; a mixture would let a flipped bit pass."""
    signed = CASE.signed()
    ((name, value),) = signed.headers
    assert await CASE.source().verify(signed.with_header(name, value.upper()).request())
    mixed = value[:40].upper() + value[40:]
    with pytest.raises(SignatureError):
        await CASE.source().verify(signed.with_header(name, mixed).request())


async def test_a_published_digest_agrees() -> None:
    """From GitHub's documentation of the same scheme."""
    digest = b"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    signed = Signed([(CASE.signature, digest)], b"Hello, World!")
    proof = await CASE.source("It's a Secret to Everybody").authenticate(signed.request())
    assert (proof.secret_number, proof.signed) == (1, "body")
