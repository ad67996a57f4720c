"""Every provider in the list, given signed bodies of any kind: an event, or the one payload error."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import PayloadError, SignatureError
from tests.support.cases.base import Case
from tests.support.conformance import (
    every_provider,
    every_provider_of_json,
    unhurried,
    verify,
)

SURPRISES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=10)
    | st.sampled_from(["\x00", "\ud800", "x" * 300, "", " ", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+23:59"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "object", "type", "x"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"x"',
    b"NaN",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\xff",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"id":"\\ud800","type":"\\ud800","transaction_id":"\\ud800"}',
    b'{"id":' + b"9" * 5000 + b"}",
    b'{"amount":1e99999999999999999999}',
    b'{"created":1e400}',
)


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Return every JSON object in a value, including itself."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(inner)


async def accepted_or_bad_payload(case: Case, body: bytes) -> None:
    """Accept the body, or refuse it as a bad payload. Without its signed fields, a body has no signature either."""
    unsigned = (SignatureError,) if case.covers == "fields" else ()
    with contextlib.suppress(PayloadError, *unsigned):
        signed = case.deliver_bytes(body)
        deliveries = await verify(case, signed)
        assert len(deliveries) != 1 or deliveries[0].event.body == case.kept(signed.body)


@every_provider
@pytest.mark.parametrize("body", BODIES, ids=[str(number) for number in range(len(BODIES))])
async def test_a_signed_body_that_is_not_an_event_is_a_bad_payload(case: Case, body: bytes) -> None:
    await accepted_or_bad_payload(case, body)


@every_provider
@unhurried
@given(body=st.binary(max_size=200))
async def test_no_signed_bytes_cause_any_other_error(case: Case, body: bytes) -> None:
    await accepted_or_bad_payload(case, body)


@every_provider
@settings(deadline=None, max_examples=60)
@given(data=st.data())
async def test_no_odd_value_in_an_event_causes_any_other_error(case: Case, data: st.DataObject) -> None:
    event = case.event("x")
    holder = data.draw(st.sampled_from(list(objects_in(event))))
    holder[data.draw(st.sampled_from([*holder, "event_id", "payment_intent", "charge", "id"]))] = data.draw(SURPRISES)
    await accepted_or_bad_payload(case, case.write(event).encode())


@every_provider_of_json
async def test_of_a_repeated_name_in_a_body_the_last_counts(case: Case) -> None:
    """As in every common JSON reader, so that a later reader of the body sees the same event."""
    event = case.write(case.event("x"))
    first = json.dumps(dict.fromkeys(case.event("x"), 5))
    assert await verify(case, case.deliver(f"{first[:-1]},{event[1:]}"))


@every_provider
async def test_no_error_text_has_a_secret_a_signature_or_content(case: Case) -> None:
    signed = case.signed(case.secrets[1])
    texts = []
    for name, value in signed.headers:
        for broken in (signed, signed.with_header(name, b"x" + value), signed.without_header(name)):
            with pytest.raises(SignatureError) as refused:
                await verify(case, broken)
            texts.append(repr(refused.value) + str(refused.value))
    genuine = dict(case.sign_bytes(signed.body, case.secrets[0]))[case.signature].decode()
    for text in texts:
        assert not any(hidden in text for hidden in (*case.secrets, genuine, genuine[-20:], "Café"))
