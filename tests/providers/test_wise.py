"""Wise: what it published, its keys, whose events they are, and which deliveries are one event."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from contract.event import Event
from providers import PROVIDERS
from providers.signing import PUBLIC_KEY_SIGNATURES_MAX
from tests.support.cases.base import Signed
from tests.support.cases.public_keys import WiseCase, ec_private, public_pem
from tests.support.verification import event_of, outcome_of

CASE = WiseCase()

# github.com/transferwise/digital-signatures-examples, verify-webhook-signature/verify-signature.js
SANDBOX_KEY = """
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwpb91cEYuyJNQepZAVfP
ZIlPZfNUefH+n6w9SW3fykqKu938cR7WadQv87oF2VuT+fDt7kqeRziTmPSUhqPU
ys/V2Q1rlfJuXbE+Gga37t7zwd0egQ+KyOEHQOpcTwKmtZ81ieGHynAQzsn1We3j
wt760MsCPJ7GMT141ByQM+yW1Bx+4SG3IGjXWyqOWrcXsxAvIXkpUD/jK/L958Cg
nZEgz0BSEh0QxYLITnW1lLokSx/dTianWPFEhMC9BgijempgNXHNfcVirg1lPSyg
z7KqoKUN0oHqWLr2U1A+7kqrl6O2nx3CKs1bj1hToT1+p4kcMoHXA7kA+VBLUpEs
VwIDAQAB
"""
BODY = (
    b'{"data":{"resource":{"id":49983981,"profile_id":16055450,"account_id":14124090,"type":"transfer"},'
    b'"current_state":"incoming_payment_waiting","previous_state":null,"occurred_at":"2021-08-23T10:12:50Z"},'
    b'"subscription_id":"90aa8e14-4ef1-4a56-861c-f3c9cde097ea","event_type":"transfers#state-change",'
    b'"schema_version":"2.0.0","sent_at":"2021-08-23T10:12:50Z"}'
)
SIGNATURE = (
    b"wKcKCYXAzxNgiu7xmoDm943NUni7Rz33QN8JkEA9dWSGebgndonabgSj18Y4C08OrwVmueGsED2s00M7DtJVcYKOS1i3G4TMVx+mgM3aL9djMBkQ"
    b"tiYNBFUd6wrPI7ZUNHv/TrlKSjTMc+6JFvUvJ7owY3z85e3I4jLRLJowMFvO8kvCJ60+1pY9wDwZvtZ//WS93LrwGjk9Dvwzpmu0w+P4J75tETT5"
    b"qC3Uv0y5G2yO8SEoO3yNP/tg/BOli02niHb53vEOUWUb9bly6thnfMoXoiV/osoGxgF20R58RlvkAmezyyl1Sv542TfS2DpiwVnmjjjkCyXeSUcK"
    b"ookYLQ=="
)
PUBLISHED = Signed([(CASE.signature, SIGNATURE)], BODY)


async def test_what_wise_published_is_genuine() -> None:
    event = await event_of(CASE, PUBLISHED, SANDBOX_KEY)
    assert (event.type, event.resource, event.signed) == ("transfers#state-change", "49983981", "body")
    assert event.occurred_at
    assert event.occurred_at.isoformat() == "2021-08-23T10:12:50+00:00"
    assert (
        await outcome_of(CASE, PUBLISHED.with_body(BODY.replace(b"49983981", b"49983982")), SANDBOX_KEY) == "mismatch"
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
async def test_a_key_may_be_written_with_or_without_its_lines(line_end: str) -> None:
    lines = public_pem("wise 0").strip().splitlines()
    for written in (line_end.join(lines), line_end.join(lines[1:-1]), f"\n {line_end.join(lines)} \n"):
        assert await outcome_of(CASE, CASE.signed(), written) == "genuine"


def table(**settings: object) -> Any:
    return PROVIDERS["wise"].Source.model_validate({"source": "a", "provider": "wise", **settings})


async def test_keys_have_a_setting_of_their_own() -> None:
    keys = [public_pem("wise 1"), public_pem("wise 0")]
    source = PROVIDERS["wise"](table(public_key=keys))
    (delivery,) = await source.verify(CASE.signed().request())
    assert delivery.secret_number == 2
    (delivery,) = await PROVIDERS["wise"](table(public_key=keys[1])).verify(CASE.signed().request())
    assert delivery.secret_number == 1


def unsuitable() -> list[str]:
    small = rsa.generate_private_key(65537, 1024).public_key()
    other = ec_private("wise").public_key()
    return [key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in (small, other)]


def test_a_wrong_key_is_refused() -> None:
    for text in ["", "whsec_AAAA", public_pem("wise 0")[:-60], *unsuitable()]:
        with pytest.raises(ValidationError, match="public_key"):
            table(public_key=text)
    with pytest.raises(ValidationError, match="it is missing"):
        table()


async def test_the_number_of_tried_signatures_is_limited() -> None:
    signed = CASE.signed()
    (genuine,) = signed.headers
    many = [(CASE.signature, b"AAAA")] * (PUBLIC_KEY_SIGNATURES_MAX - 1)
    assert await outcome_of(CASE, signed.with_headers([*many, genuine])) == "genuine"
    assert await outcome_of(CASE, signed.with_headers([*many, many[0], genuine])) == "malformed"


async def test_events_of_another_customers_profile_are_refused_where_ours_are_named() -> None:
    assert await outcome_of(CASE, CASE.signed(), profile_ids=[1, 16055450]) == "genuine"
    assert await outcome_of(CASE, CASE.signed(), profile_ids=[1]) == "mismatch"
    assert await outcome_of(CASE, CASE.deliver("{}"), profile_ids=[1]) == "mismatch"


async def delivered(event: dict[str, Any], **headers: str) -> Event:
    signed = CASE.deliver(json.dumps(event))
    unsigned = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return await event_of(CASE, Signed(signed.headers, signed.body, unsigned))


async def test_a_retry_or_another_subscription_is_the_same_event_and_another_state_is_not() -> None:
    event = CASE.event("x")
    first = await delivered(event, X_Delivery_Id="1")
    again = await delivered({**event, "sent_at": "2026-09-17T12:10:00Z", "subscription_id": "2"}, X_Delivery_Id="2")
    assert first.event_id == again.event_id
    assert (first.headers, again.headers) == ({"x-delivery-id": "1"}, {"x-delivery-id": "2"})
    other = await delivered({**event, "data": {**event["data"], "current_state": "bounced_back"}}, X_Delivery_Id="1")
    assert other.event_id != first.event_id
    assert other.resource == first.resource


async def test_all_events_of_a_transfer_are_about_it() -> None:
    data = {"transfer_id": 49983981, "resource": {"type": "payout", "id": 7}, "occurred_at": "2026-09-17T11:59:58Z"}
    event = await delivered({**CASE.event("x"), "event_type": "transfers#payout-failure", "data": data})
    assert event.resource == "49983981"
    assert (await delivered({"event_type": "x", "data": {}})).resource.startswith("sha256:")
