"""TrueLayer: what it published, its own library as a second opinion, and where its keys may come from."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import truelayer_signing  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from providers import PROVIDERS
from providers.base import Provider, SignatureError, UnavailableError
from providers.truelayer import JKU, KEYS_AGE_S_MAX, KEYS_AGE_S_MIN, TrueLayer, TrueLayerSettings
from tests.support.cases.base import NOW, Signed
from tests.support.cases.public_keys import TrueLayerCase, jwks, private_pem, serving
from tests.support.verification import event_of, outcome_of

CASE = TrueLayerCase()

# github.com/TrueLayer/truelayer-signing, test-resources: README.md, jwks.json and webhook-signature.txt
PUBLISHED_KEY = {
    "kty": "EC",
    "alg": "ES512",
    "kid": "45fc75cf-5649-4134-84b3-192c2c78e990",
    "crv": "P-521",
    "x": "oLuW4nFqoUuR8d7FVsUoI62libYdQlWGtLStnqdudLY92bQ0ra5eZAbkunrGTR9-w9mr4o2Etyb6pC7YB2-23WM",
    "y": "AX1cjkGMiltikPrkX49qwuJDdcETaTsj-kyFP8jsF9W5XAB3Z4tBiQtc72DQnJYeKyAV_T6qZTtFKFr-Tp4iu-j7",
}
OTHER_KEY = {"kty": "RSA", "alg": "RS512", "kid": "db2e0bb4-e33d-4fc6-a8c5-645e70331127", "n": "piC9", "e": "AQAB"}
PUBLISHED_KEYS = json.dumps({"keys": [OTHER_KEY, PUBLISHED_KEY]})
PUBLISHED_SIGNATURE = (
    b"eyJhbGciOiJFUzUxMiIsImtpZCI6IjQ1ZmM3NWNmLTU2NDktNDEzNC04NGIzLTE5MmMyYzc4ZTk5MCIsInRsX3ZlcnNpb24iOiIyIiwidGxfaG"
    b"VhZGVycyI6IlgtVGwtV2ViaG9vay1UaW1lc3RhbXAsQ29udGVudC1UeXBlIiwiamt1IjoiaHR0cHM6Ly93ZWJob29rcy50cnVlbGF5ZXIuY29t"
    b"Ly53ZWxsLWtub3duL2p3a3MifQ..AB9S1dzZTmw0tofUjJNGO7Kt_jZsahPyIrBTdhfxBWOI3KoLALkMy6ka1MjpZQx06_hQUJnanu9K_LS6V9"
    b"lNaNGiAX5Cos5RWQfbeBCZWqAvIpXO3FvIzyJKRaTYK8FBG4lfJYPi76_pIkCLGKWeq8__7ElpMVRcLTM5IBKWL8isVZn_"
)
PUBLISHED = Signed(
    [
        (b"Tl-Signature", PUBLISHED_SIGNATURE),
        (b"X-Tl-webhook-Timestamp", b"2021-11-29T11:42:55Z"),
        (b"Content-Type", b"application/json"),
    ],
    b'{"event_type":"example","event_id":"18b2842b-a57b-4887-a0a6-d3c7c36f1020"}',
    target="/tl-webhook",
)


async def test_what_truelayer_published_is_genuine() -> None:
    event = await event_of(CASE, PUBLISHED, PUBLISHED_KEYS)
    assert (event.event_id, event.type) == ("18b2842b-a57b-4887-a0a6-d3c7c36f1020", "example")
    assert event.occurred_at == datetime(2021, 11, 29, 11, 42, 55, tzinfo=UTC)
    later = PUBLISHED.with_header(b"X-Tl-webhook-Timestamp", b"2021-12-29T11:42:55Z")
    assert await outcome_of(CASE, later, PUBLISHED_KEYS) == "mismatch"


class Served:
    """A source whose keys are fetched, and how often they were."""

    def __init__(self, **documents: str) -> None:
        self.documents = {JKU[name]: text.encode() for name, text in documents.items()}
        self.asked: list[str] = []
        self.source = self.made()

    def made(self, **table: object) -> TrueLayer:
        known = {"source": "a", "provider": "truelayer"}
        return TrueLayer(TrueLayerSettings.model_validate({**known, **table}), self.fetch)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        return await serving(self.documents)(url)


async def refused(source: Provider, signed: Signed, at: datetime = NOW) -> str:
    with pytest.raises(SignatureError) as error:
        await source.verify(signed.request(at))
    return error.value.reason


async def test_keys_are_fetched_once_and_kept_for_a_while() -> None:
    served = Served(live=jwks("key 0"))
    for _ in range(3):
        assert await served.source.verify(CASE.signed().request())
    assert served.asked == [JKU["live"]]
    late = NOW + timedelta(seconds=KEYS_AGE_S_MAX + 1)
    served.documents[JKU["live"]] = jwks("key 1").encode()
    assert await refused(served.source, CASE.signed(), late) == "mismatch"


async def test_a_new_key_is_fetched_when_it_is_used_but_not_again_and_again() -> None:
    served = Served(live=jwks("key 0"))
    assert await served.source.verify(CASE.signed().request())
    served.documents[JKU["live"]] = jwks("key 0", "key 1").encode()
    new = CASE.signed(CASE.secrets[1])
    assert await refused(served.source, new) == "mismatch"
    assert await served.source.verify(new.request(NOW + timedelta(seconds=KEYS_AGE_S_MIN + 1)))
    unknown = CASE.signed(CASE.secrets[2])
    for _ in range(5):
        assert await refused(served.source, unknown, NOW + timedelta(seconds=KEYS_AGE_S_MIN + 2)) == "mismatch"
    assert len(served.asked) == 2


async def test_keys_that_cannot_be_fetched_make_it_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await Served().source.verify(CASE.signed().request())
    with pytest.raises(UnavailableError):
        await Served(live='{"keys":[]}').source.verify(CASE.signed().request())


def resigned(**jws: str) -> Signed:
    """Signed by a key of ours, and with a header as an attacker may write it."""
    signer = truelayer_signing.sign_with_pem("key 0", private_pem("key 0")).set_path("/webhooks/a").set_body("{}")
    if "jku" in jws:
        signer.set_jku(jws["jku"])
    return Signed([(b"Tl-Signature", signer.sign().encode())], b"{}")


@pytest.mark.parametrize(
    "jku",
    [
        "https://evil.example/.well-known/jwks",
        "http://webhooks.truelayer.com/.well-known/jwks",
        "https://webhooks.truelayer.com/.well-known/jwks/",
        "https://webhooks.truelayer.com@evil.example/.well-known/jwks",
        JKU["sandbox"],
        "",
    ],
)
async def test_keys_are_fetched_from_the_environments_own_address_alone(jku: str) -> None:
    served = Served(live=jwks("key 0"), sandbox=jwks("key 0"))
    assert await refused(served.source, resigned(jku=jku)) == "mismatch"
    assert await refused(served.source, resigned()) == "mismatch"
    assert served.asked == []
    assert await refused(served.made(jwks=jwks("key 0")), resigned(jku=jku)) == "mismatch"


async def test_the_sandbox_has_keys_of_its_own() -> None:
    served = Served(sandbox=jwks("key 0"))
    await served.made(environment="sandbox").authenticate(resigned(jku=JKU["sandbox"]).request())
    assert served.asked == [JKU["sandbox"]]


async def test_keys_that_are_set_need_no_jku() -> None:
    served = Served()
    await served.made(jwks=[jwks("key 1"), jwks("key 0")]).authenticate(resigned().request())
    assert served.asked == []


def opinion(signed: Signed, keys: str) -> str:
    """Return whether TrueLayer's library accepts it; any error means that it does not."""
    headers, body = signed.sent()
    value = next(value.decode("latin-1") for name, value in headers if name == b"Tl-Signature")
    try:
        verifier = truelayer_signing.verify_with_jwks(json.loads(keys), truelayer_signing.extract_jws_header(value))
        verifier.set_method(truelayer_signing.HttpMethod.POST).set_path(signed.target).set_body(body.decode())
        verifier.add_headers({name.decode(): value.decode() for name, value in headers if name != b"Tl-Signature"})
        verifier.verify(value)
    except Exception:  # noqa: BLE001 - it raises whatever its parts raise
        return "refused"
    return "genuine"


@settings(deadline=None, max_examples=60)
@given(data=st.data())
async def test_its_library_agrees(data: st.DataObject) -> None:
    signed = CASE.deliver(data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
    position = data.draw(st.integers(0, len(signed.headers)))
    if position < len(signed.headers):
        name, value = signed.headers[position]
        at = data.draw(st.integers(0, len(value) - 1))
        signed = signed.with_header(name, value[:at] + data.draw(st.sampled_from([b"", b"A", b"."])) + value[at + 1 :])
    expected = "genuine" if await outcome_of(CASE, signed) == "genuine" else "refused"
    assert opinion(signed, CASE.secrets[0]) == expected


async def test_the_path_is_signed_with_or_without_a_slash_at_its_end() -> None:
    signed = CASE.signed()
    for target in ("/webhooks/a", "/webhooks/a/", "/webhooks/a?x=1"):
        assert await outcome_of(CASE, Signed(signed.headers, signed.body, target=target)) == "genuine"
    for target in ("/webhooks/b", "/webhooks/a//", "/", "/webhooks/A", "/x/webhooks/a"):
        assert await outcome_of(CASE, Signed(signed.headers, signed.body, target=target)) == "mismatch"


async def test_the_url_is_a_setting_where_a_proxy_changes_the_path() -> None:
    url = "https://shop.example/webhooks/a"
    signed = CASE.signed()
    moved = Signed(signed.headers, signed.body, target="/other")
    assert await outcome_of(CASE, moved, notification_url=url) == "genuine"
    assert await outcome_of(CASE, signed, notification_url="https://shop.example/other") == "mismatch"


async def test_a_timestamp_that_is_not_signed_is_refused() -> None:
    signed = resigned(jku=JKU["live"])
    with_time = signed.with_headers([*signed.headers, (b"X-Tl-Webhook-Timestamp", b"2026-09-17T12:00:00Z")])
    assert await outcome_of(CASE, signed) == "genuine"
    assert await outcome_of(CASE, with_time) == "malformed"


async def test_a_signed_header_that_is_repeated_is_refused() -> None:
    signed = CASE.signed()
    again = signed.with_headers([*signed.headers, (b"x-tl-webhook-timestamp", b"2026-09-17T12:00:00Z")])
    assert await outcome_of(CASE, again) == "malformed"


async def test_the_time_is_checked_where_a_tolerance_is_set() -> None:
    signed = CASE.signed()
    assert await outcome_of(CASE, signed, tolerance_s=60, received_at=NOW + timedelta(seconds=60)) == "genuine"
    assert await outcome_of(CASE, signed, tolerance_s=60, received_at=NOW + timedelta(seconds=61)) == "stale"
    assert await outcome_of(CASE, signed, tolerance_s=60, received_at=NOW - timedelta(seconds=61)) == "future"
    assert await outcome_of(CASE, resigned(jku=JKU["live"]), tolerance_s=60) == "missing"


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"payment_id": "p", "refund_id": "r"}, "p"),
        ({"mandate_id": "m"}, "m"),
        ({"payout_id": "o"}, "o"),
        ({}, "e"),
    ],
)
async def test_all_events_of_a_payment_are_about_it(fields: dict[str, Any], about: str) -> None:
    event = await event_of(CASE, CASE.deliver(json.dumps({"event_id": "e", "type": "refund_executed", **fields})))
    assert event.resource == about


@pytest.mark.parametrize(
    "table",
    [
        {"jwks": ""},
        {"jwks": "{}"},
        {"jwks": '{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}'},
        {"jwks": '{"keys":[{"kty":"EC","crv":"P-521","kid":"a","x":"AQ","y":"AQ"}]}'},
        {"secrets": ["no keys"]},
        {"environment": "production"},
        {"notification_url": "shop.example"},
    ],
)
def test_a_table_that_cannot_work_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PROVIDERS["truelayer"].Source.model_validate({"source": "a", "provider": "truelayer", **table})
