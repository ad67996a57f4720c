"""Standard Webhooks: its headers, agreement with two of its libraries, and what is read from a free form of body."""

import binascii
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.event import Event
from providers.base import PayloadError, SignatureError
from providers.signing import hmac_sha256, key_from_base64, padded_base64
from tests.support.cases.base import NOW, NOW_S, Signed
from tests.support.cases.standard_webhooks import StandardWebhooksCase

CASE = StandardWebhooksCase()
SECRET = CASE.secrets[0]
ID, TIMESTAMP, SIGNATURE = b"webhook-id", b"webhook-timestamp", b"webhook-signature"


async def event_of(body: object, event_id: str = "msg_1") -> Event:
    raw = json.dumps(body)
    signature = standardwebhooks.Webhook(SECRET).sign(event_id, NOW, raw)
    headers = [(ID, event_id.encode()), (TIMESTAMP, b"%d" % NOW_S), (SIGNATURE, signature.encode())]
    (delivery,) = await CASE.source().verify(Signed(headers, raw.encode()).request())
    return delivery.event


async def passes(signed: Signed, received_at: datetime = NOW) -> bool:
    try:
        await CASE.source().verify(signed.request(received_at))
    except SignatureError:
        return False
    return True


def sdk_passes(signed: Signed) -> bool:
    """Return whether the library accepts it, by the machine's clock. It leaks ValueError and binascii.Error."""
    headers = {name.decode(): value.decode() for name, value in signed.headers}
    try:
        standardwebhooks.Webhook(SECRET).verify(signed.body, headers)
    except (standardwebhooks.WebhookVerificationError, ValueError, binascii.Error):
        return False
    return True


async def test_the_event_has_the_signed_id_and_the_bodys_type_resource_and_time() -> None:
    event = await event_of(CASE.event("x"))
    assert (event.event_id, event.type, event.resource) == ("msg_1", "order.paid", "ord_1")
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, tzinfo=UTC)
    assert event.headers == {"webhook-id": "msg_1"}


@pytest.mark.parametrize("data", [None, 5, "x", [], {}, {"id": 5}, {"id": ""}, {"id": None}])
async def test_a_body_without_an_object_id_is_about_itself(data: object) -> None:
    event = await event_of({"type": "order.paid", "data": data})
    assert event.resource == "msg_1"


@pytest.mark.parametrize("timestamp", [None, 5, "", "soon", "2026-13-01", "9999-12-31T23:59:59-23:59"])
async def test_without_a_time_in_the_body_it_occurred_when_it_was_signed(timestamp: object) -> None:
    event = await event_of({"type": "order.paid", "timestamp": timestamp})
    assert event.occurred_at == NOW


@pytest.mark.parametrize("body", [{}, {"type": ""}, {"test": 2432232314}])
async def test_a_type_is_only_recommended(body: dict[str, Any]) -> None:
    event = await event_of(body)
    assert event.type == "unknown"


@pytest.mark.parametrize("body", [None, 5, "x", [], [{"type": "a"}], {"type": 5}, {"type": "a\x00"}])
async def test_a_body_that_is_no_event_is_a_bad_payload(body: object) -> None:
    with pytest.raises(PayloadError):
        await event_of(body)


@pytest.mark.parametrize("event_id", ["x" * 256, "a\x00", "a\u0085"])
async def test_an_id_that_cannot_be_carried_is_a_bad_payload(event_id: str) -> None:
    with pytest.raises(PayloadError):
        await event_of({}, event_id)


async def test_an_id_that_is_not_utf8_is_a_bad_payload() -> None:
    """It is never replaced by something that another id could also become."""
    key = key_from_base64(SECRET.removeprefix("whsec_"))
    signature = b"v1," + padded_base64(hmac_sha256(key, b"msg_\xff.%d.{}" % NOW_S))
    signed = CASE.signed().with_body(b"{}").with_header(ID, b"msg_\xff")
    assert not await passes(signed)
    with pytest.raises(PayloadError):
        await CASE.source().verify(signed.with_header(SIGNATURE, signature).request())


async def test_any_v1_counts_and_no_other_version() -> None:
    signed = CASE.signed()
    genuine = signed.headers[2][1]
    bare, junk = genuine.removeprefix(b"v1,"), b"v1," + b"A" * 43 + b"="
    for value, accepted in {
        junk + b" " + genuine: True,
        genuine + b" " + junk: True,
        b"v1a,xyz v2 " + genuine + b"  ": True,
        b"v1a," + bare: False,
        b"v0," + bare: False,
        b"v1=" + bare: False,
        bare: False,
        b"v1," + bare.rstrip(b"="): False,
        b"v1," + bare + b"\n": False,
        b"V1," + bare: False,
        genuine + b",x": False,
    }.items():
        assert await passes(signed.with_header(SIGNATURE, value)) is accepted, value


@pytest.mark.parametrize("name", [ID, TIMESTAMP])
async def test_a_signed_header_must_come_once(name: bytes) -> None:
    signed = CASE.signed()
    repeated = Signed([*signed.headers, (name, dict(signed.headers)[name])], signed.body)
    with pytest.raises(SignatureError) as refused:
        await CASE.source().verify(repeated.request())
    assert refused.value.reason == "malformed"


async def test_moved_borders_between_id_time_and_body_leave_no_event() -> None:
    """One signed text can be cut into id, time and body in several places; only the sender's cut leaves an object."""
    body = f'{{"note":"x.{NOW_S}.{{}}"}}'
    signed = Signed(CASE.sign(body, SECRET), body.encode())
    moved = Signed([(ID, b'msg_1.%d.{"note":"x' % NOW_S), *signed.headers[1:]], b'{}"}')
    with pytest.raises(PayloadError):
        await CASE.source().verify(moved.request())


@pytest.mark.parametrize("secret", ["whsec_AAECAwQFBgcICQ==", "whsec_AAECAwQFBgcICQ", "AAECAwQFBgcICQ=="])
async def test_a_secret_may_lack_its_prefix_or_its_padding(secret: str) -> None:
    assert await CASE.source(secret).verify(CASE.signed("whsec_AAECAwQFBgcICQ==").request())


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_=", "whsec_====", "whsec_A", "whsec_%%%%", "whsec_AA AA", "whsec_é"]
)
def test_a_secret_that_is_not_a_key_stops_the_start(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CASE.source(CASE.secrets[0], secret)
    assert "number 2" in str(refused.value)
    assert secret not in str(refused.value).replace("whsec_ ", "")


async def test_what_svix_signed_passes() -> None:
    body = json.dumps(CASE.event("x"))
    signature = svix.webhooks.Webhook(SECRET).sign("msg_1", NOW, body)
    assert await passes(Signed(CASE.sign(body, SECRET), body.encode()).with_header(SIGNATURE, signature.encode()))


async def test_the_specifications_own_example_passes() -> None:
    """The published one: github.com/standard-webhooks."""
    headers = [
        (ID, b"msg_p5jXN8AQM9LWM0D4loKWxJek"),
        (TIMESTAMP, b"1614265330"),
        (SIGNATURE, b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]
    signed = Signed(headers, b'{"test": 2432232314}')
    assert await passes(signed, datetime.fromtimestamp(1614265330, UTC))
    assert not await passes(signed)


# Where the library accepts what ours does not. It reads the timestamp with float() and signs its floor; and its base64
# skips whatever is not base64 and ignores the bits that a last character has to spare.
SDK_IS_LAX: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "a fraction": (TIMESTAMP, lambda value: value + b".5"),
    "a leading zero": (TIMESTAMP, lambda value: b"0" + value),
    "a sign": (TIMESTAMP, lambda value: b"+" + value),
    "an underscore": (TIMESTAMP, lambda value: value[:2] + b"_" + value[2:]),
    "a space": (TIMESTAMP, lambda value: value + b" "),
    "a character that is not base64": (SIGNATURE, lambda value: value[:9] + b"!" + value[9:]),
    "what follows the padding": (SIGNATURE, lambda value: value + b"=AAAA"),
}


@pytest.mark.parametrize("flaw", SDK_IS_LAX)
async def test_known_flaws_of_the_sdk_are_not_ours(flaw: str) -> None:
    name, change = SDK_IS_LAX[flaw]
    signed = CASE.signed(at_s=int(time.time()))
    changed = signed.with_header(name, change(dict(signed.headers)[name]))
    assert sdk_passes(changed)
    assert not await passes(changed, datetime.now(UTC))


@settings(deadline=None, max_examples=300)
@given(
    text=st.text(max_size=30),
    offset_s=st.sampled_from([0, -200, 200, -100_000, 100_000]),
    secret=st.sampled_from([SECRET, CASE.secrets[1]]),
    header=st.sampled_from([ID, TIMESTAMP, SIGNATURE]),
    edit=st.tuples(st.integers(0, 50), st.integers(0, 3), st.sampled_from(["", "A", "0", "v1,", "-", "x"])),
)
async def test_otherwise_the_sdk_agrees(
    text: str, offset_s: int, secret: str, header: bytes, edit: tuple[int, int, str]
) -> None:
    body = json.dumps(CASE.event(text))
    signed = Signed(CASE.sign(body, secret, int(time.time()) + offset_s), body.encode())
    value, (start, length, inserted) = dict(signed.headers)[header], edit
    changed = value[:start] + inserted.encode() + value[start + length :]
    lax = (
        changed.startswith(b"0")
        if header == TIMESTAMP
        else len(changed) != len(value) or changed[-2:-1] != value[-2:-1]
    )
    signed = signed.with_header(header, changed)
    ours, theirs = await passes(signed, datetime.now(UTC)), sdk_passes(signed)
    assert ours == theirs or (lax and theirs)
