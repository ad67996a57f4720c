"""The `hmac` provider for any sender: the settings for its signature, and for the paths of its events' fields."""

import base64
import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.event import Event
from providers.base import PayloadError, Provider, SignatureError
from tests.support.cases.base import RawHeaders, Signed
from tests.support.cases.generic_hmac import GenericHmacCase

SECRET = "00112233445566778899aabbccddeeff"
KEYS = {"utf8": SECRET.encode(), "hex": bytes.fromhex(SECRET), "base64": base64.b64decode(SECRET)}
BODY: dict[str, Any] = {"data": {"id": 7, "payment": "p_1", "a/b": {"~": ["x", "y"]}}, "kind": "paid", "at": 1789646400}
PATHS: dict[str, Any] = {"event_id": "/data/id", "type": "/kind", "resource": "/data/payment", "occurred_at": "/at"}


def source(**settings: object) -> Provider:
    return GenericHmacCase().source(SECRET, **settings)


def signed(body: dict[str, Any] | bytes, *unsigned: tuple[bytes, bytes]) -> Signed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = hmac.new(SECRET.encode(), raw, "sha256").hexdigest().encode()
    return Signed([(b"X-Signature", signature)], raw, unsigned)


async def event_of(request: Signed, **settings: object) -> Event:
    (delivery,) = await source(**settings).verify(request.request())
    return delivery.event


def digest(request: Signed) -> str:
    return f"sha256:{hashlib.sha256(request.body).hexdigest()}"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("key_encoding", KEYS)
@pytest.mark.parametrize("prefix", ["", "sha=", "v1,"])
async def test_every_scheme_can_be_set(algorithm: str, encoding: str, key_encoding: str, prefix: str) -> None:
    body = json.dumps(BODY).encode()
    made = hmac.new(KEYS[key_encoding], body, algorithm).digest()
    written = {"hex": made.hex().encode(), "base64": base64.b64encode(made)}
    settings = {"digest": algorithm, "encoding": encoding, "key_encoding": key_encoding, "prefix": prefix}
    sender = source(header="X-Acme-Hmac", **settings, **PATHS)
    for form, signature in written.items():
        request = Signed([(b"x-acme-hmac", prefix.encode() + signature)], body)
        if form == encoding:
            assert (await sender.verify(request.request()))[0].event.event_id == "7"
            for wrong in (request.with_body(body + b" "), request.with_headers([(b"x-signature", signature)])):
                with pytest.raises(SignatureError):
                    await sender.verify(wrong.request())
        else:
            with pytest.raises(SignatureError):
                await sender.verify(request.request())


async def test_a_signature_without_its_prefix_is_malformed() -> None:
    with pytest.raises(SignatureError) as refused:
        await source(prefix="sha256=", **PATHS).verify(signed(BODY).request())
    assert refused.value.reason == "malformed"


async def test_only_the_first_value_may_count() -> None:
    genuine = signed(BODY)
    junk: RawHeaders = [(b"X-Signature", b"junk")]
    after, before = genuine.with_headers([*genuine.headers, *junk]), genuine.with_headers([*junk, *genuine.headers])
    assert await source(values="first", **PATHS).verify(after.request())
    assert await source(values="all", **PATHS).verify(before.request())
    with pytest.raises(SignatureError):
        await source(values="first", **PATHS).verify(before.request())


async def test_fields_are_found_by_json_pointers() -> None:
    event = await event_of(signed(BODY), **PATHS)
    assert (event.event_id, event.type, event.resource) == ("7", "paid", "p_1")
    assert event.occurred_at == datetime(2026, 9, 17, 12, tzinfo=UTC)
    assert event.signed == "body"


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/data/a~1b/~0/0", "x"),
        ("/data/a~1b/~0/1", "y"),
        ("/data/a~1b/~0/2", None),
        ("/data/a~1b/~0/01", None),
        ("/data/a~1b/~0/-", None),
        ("/data", None),
        ("/data/id/deeper", None),
        ("/", None),
        ("/nowhere", None),
    ],
)
async def test_pointers_follow_rfc_6901(pointer: str, value: str | None) -> None:
    event = await event_of(signed(BODY), **{**PATHS, "resource": pointer})
    assert event.resource == (value or "7")


async def test_the_first_path_with_a_value_counts() -> None:
    paths = {**PATHS, "resource": ["/data/refund_of", "/data/payment", "/data/id"], "type": ["/nothing", "X-Event"]}
    event = await event_of(signed(BODY, (b"x-event", b"from.header")), **paths)
    assert (event.resource, event.type) == ("p_1", "from.header")


@pytest.mark.parametrize(
    ("at", "time"),
    [
        ("1789646400", datetime(2026, 9, 17, 12, tzinfo=UTC)),
        (1789646400123, datetime(2026, 9, 17, 12, 0, 0, 123_000, tzinfo=UTC)),
        (1789646400.5, datetime(2026, 9, 17, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-09-17T14:00:00+02:00", datetime(2026, 9, 17, 12, tzinfo=UTC)),
        ("soon", None),
        (True, None),
        (10**30, None),
        ([], None),
    ],
)
async def test_an_unreadable_time_is_none(at: object, time: datetime | None) -> None:
    assert (await event_of(signed({**BODY, "at": at}), **PATHS)).occurred_at == time


async def test_a_body_without_an_id_is_identified_by_its_digest() -> None:
    request = signed(BODY)
    event = await event_of(request, type="/kind")
    assert (event.event_id, event.type, event.resource) == (digest(request), "paid", digest(request))


async def test_an_id_from_a_header_is_not_used() -> None:
    """A header is not signed: a captured request under another id is the same event."""
    one, two = signed(BODY, (b"x-id", b"1")), signed(BODY, (b"x-id", b"2"))
    first, second = await event_of(one, event_id="X-Id"), await event_of(two, event_id="X-Id")
    assert first.event_id == second.event_id == digest(one)
    assert (first.headers, second.headers) == ({"x-id": "1"}, {"x-id": "2"})


async def test_a_listed_type_from_a_header_is_part_of_a_digest_id() -> None:
    """Two events of different types may have the same body."""
    request, types = signed(BODY, (b"x-event", b"order.paid")), ["order.paid", "order.created"]
    event = await event_of(request, type="X-Event", types=types)
    assert (event.event_id, event.type) == (f"order.paid:{digest(request)}", "order.paid")
    assert (await event_of(request, type="X-Event", types=types, event_id="/data/id")).event_id == "7"


async def test_a_type_from_a_header_names_no_event_unless_it_is_listed() -> None:
    """Nobody signs it: a captured request under invented types must not be one event more for each of them."""
    requests = [signed(BODY, (b"x-event", b"invented.%d" % number)) for number in range(20)]
    without = [await event_of(request, type="X-Event") for request in requests]
    assert {event.event_id for event in without} == {digest(requests[0])}
    assert [event.type for event in without] == [f"invented.{number}" for number in range(20)]
    others = [await event_of(request, type="X-Event", types=["order.paid"]) for request in requests]
    assert {(event.event_id, event.type) for event in others} == {(f"unknown:{digest(requests[0])}", "unknown")}


async def test_a_signed_type_needs_no_list() -> None:
    request = signed(BODY, (b"x-event", b"invented"))
    event = await event_of(request, type=["/kind", "X-Event"], types=["order.paid"])
    assert (event.event_id, event.type) == (digest(request), "paid")


@pytest.mark.parametrize(
    "settings", [{"types": ["a"]}, {"type": "/kind", "types": ["a"]}, {"type": "X-Event", "types": []}]
)
def test_a_list_of_types_is_for_a_type_in_a_header(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        source(**settings)


async def test_without_paths_into_the_body_it_may_be_anything() -> None:
    request = signed(b"\xff no JSON")
    event = await event_of(request, type="X-Event")
    assert (event.event_id, event.type) == (digest(request), "unknown")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b"{}", b"[]", b'{"data":{"id":null}}', b"1" * 5000])
async def test_an_id_at_none_of_its_paths_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(PayloadError):
        await event_of(signed(body), **PATHS)


@settings(deadline=None, max_examples=200)
@given(
    body=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda v: (
            st.dictionaries(st.sampled_from(["data", "id", "payment", "kind", "at"]), v, max_size=4)
            | st.lists(v, max_size=2)
        ),
        max_leaves=8,
    )
)
async def test_no_body_causes_any_other_error(body: Any) -> None:
    request = signed(json.dumps(body).encode())
    with contextlib.suppress(PayloadError):
        assert (await event_of(request, **PATHS)).body == request.body


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": ""},
        {"header": "X Signature"},
        {"header": "X-Signature:"},
        {"prefix": "é"},
        {"prefix": "a b"},
        {"prefix": "x" * 65},
        {"values": "last"},
        {"digest": "md5"},
        {"encoding": "base32"},
        {"key_encoding": "latin1"},
        {"event_id": []},
        {"event_id": ["/id"] * 11},
        {"event_id": "/a~2"},
        {"event_id": "data.id "},
        {"type": ""},
        {"resource": 5},
        {"resource": ["/id", ""]},
        {"tolerance_s": 5},
    ],
)
def test_settings_that_cannot_work_stop_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        source(**wrong)


@pytest.mark.parametrize(("key_encoding", "secret"), [("hex", "0"), ("hex", "0g"), ("base64", "a b"), ("base64", "=")])
def test_a_secret_of_another_encoding_stops_the_start_and_is_not_printed(key_encoding: str, secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        GenericHmacCase().source("00", secret + "do-not-print", key_encoding=key_encoding)
    assert "do-not-print" not in str(refused.value)
