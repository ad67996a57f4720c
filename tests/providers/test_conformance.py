"""Every provider in the list: a genuine request passes, anything else is the one signature error."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from providers import PROVIDERS
from providers.base import TOLERANCE_S_DEFAULT, SignatureError
from tests.support.cases.base import NOW, NOW_S, TEXT, Case
from tests.support.conformance import (
    every_provider,
    every_provider_that_signs_the_body,
    every_provider_with_a_header,
    every_timed_provider,
    flipped,
    refusal,
    unhurried,
    verify,
)
from tests.support.provider_cases import CASES

WHITE_SPACE = (b"", b" ", b"\t ", b",", b",,", b" , ", b";", b"=", b"=,=")
JUNK = (
    b"v1",
    b"v1,",
    b"v1=",
    b"t=",
    b"t=1",
    b"t,v1",
    b"v1=,t=",
    b"t=-1,v1=00",
    b"t=+1,v1=00",
    b"t=1e9,v1=00",
    b"t=0x1,v1=00",
    "t=١٢٣,v1=00".encode(),
    b"t=" + b"9" * 5000 + b",v1=00",
    b"v1,%%%",
    b"v1,AAAA v1",
    b"v1,AAAA,BBBB",
    "é".encode(),
    b"\xe9\xff\xfe",
    b"\x00",
    b"0" * 64,
    b"0" * 63,
    b"g" * 64,
    b"sha256=" + b"0" * 64,
)


ENDS_BYTES = 8
"""The beginning and the end of a header's value, of which each bit is tried: prefixes, separators, padding."""


def test_every_provider_has_a_case() -> None:
    assert set(CASES) == set(PROVIDERS)
    assert all(PROVIDERS[name].name == name for name in PROVIDERS)


@every_provider
@unhurried
@given(text=TEXT, indent=st.sampled_from([None, 0, 2]), ending=st.sampled_from(["", "\n", "\r\n  "]))
async def test_a_request_signed_by_the_senders_own_code_passes(
    case: Case, text: str, indent: int | None, ending: str
) -> None:
    body = case.write(case.event(text), indent, ascii_only=indent is None) + ending
    signed = case.deliver(body)
    (delivery,) = await verify(case, signed)
    event = delivery.event
    assert event.body == case.kept(signed.body)
    assert (event.source, event.namespace, event.provider, event.signed) == ("a", "a", case.provider, case.covers)
    assert event.received_at == NOW
    assert (event.occurred_at is not None) is case.dated
    assert event.occurred_at is None or event.occurred_at.utcoffset() == timedelta(0)
    assert delivery.secret_number == 1


@every_provider
async def test_an_event_has_its_sources_namespace(case: Case) -> None:
    (delivery,) = await case.source(namespace="acme").verify(case.signed().request())
    assert (delivery.event.source, delivery.event.namespace) == ("a", "acme")


@every_provider_that_signs_the_body
@unhurried
@given(bit=st.integers(0, 8 * 4096))
async def test_one_flipped_bit_in_the_body_is_refused(case: Case, bit: int) -> None:
    signed = case.signed()
    assert await refusal(case, signed.with_body(flipped(signed.body, bit))) == "mismatch"


@every_provider_that_signs_the_body
@pytest.mark.parametrize("change", [b"", b" ", b"\n", b"\xef\xbb\xbf"])
async def test_a_changed_end_or_beginning_is_refused(case: Case, change: bytes) -> None:
    signed = case.signed()
    changed = change + signed.body if change.startswith(b"\xef") else signed.body[:-1] + change
    assert await refusal(case, signed.with_body(changed)) == "mismatch"


@every_provider
async def test_one_flipped_bit_in_any_signed_header_is_refused(case: Case) -> None:
    """All of them: signature, timestamp, id. Of a long one, each bit of both ends, and one of each byte between."""
    signed = case.signed()
    for name, value in signed.headers:
        bits, end = 8 * len(value), 8 * ENDS_BYTES
        between = range(end, bits - end, 9)  # another bit of each byte
        for bit in {*range(min(end, bits)), *between, *range(max(0, bits - end), bits)}:
            await refusal(case, signed.with_header(name, flipped(value, bit)))


@every_provider
async def test_one_flipped_bit_in_the_secret_is_refused(case: Case) -> None:
    """Refuse the secret at the start where it is invalid, or else every request."""
    signed, secret = case.signed(), case.secrets[0].encode()
    for bit in (bit for bit in range(8 * len(secret)) if bit % 8 < 7):
        try:
            source = case.source(flipped(secret, bit).decode())
        except ValidationError:
            continue
        with pytest.raises(SignatureError):
            await source.verify(signed.request())


@every_provider
async def test_another_secret_is_refused(case: Case) -> None:
    assert await refusal(case, case.signed(case.secrets[1]), case.secrets[0]) == "mismatch"


@every_provider
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_during_a_rotation_each_secret_passes_and_its_number_is_reported(case: Case, number: int) -> None:
    (delivery,) = await verify(case, case.signed(case.secrets[number - 1]), *case.secrets)
    assert delivery.secret_number == number


@every_provider
async def test_each_header_is_needed(case: Case) -> None:
    signed = case.signed()
    for name, _ in signed.headers:
        assert await refusal(case, signed.without_header(name)) == "missing"
        assert await refusal(case, signed.with_header(name, b"")) == "missing"


@every_provider_with_a_header
async def test_names_of_headers_are_case_insensitive(case: Case) -> None:
    signed = case.signed()
    for change in (bytes.upper, bytes.lower):
        assert await verify(case, signed.with_headers([(change(name), value) for name, value in signed.headers]))


@every_provider
@pytest.mark.parametrize("junk", [*WHITE_SPACE, *JUNK])
async def test_junk_in_a_header_is_refused(case: Case, junk: bytes) -> None:
    signed = case.signed()
    for name, _ in signed.headers:
        await refusal(case, signed.with_header(name, junk))


PIECES = st.binary(max_size=40) | st.sampled_from([*JUNK, b"v1=", b"t=", b"v1,", b"1789646400", b",", b" "])
VALUES = st.lists(PIECES, max_size=6).map(b"".join)


@every_provider
@unhurried
@given(values=st.lists(st.tuples(st.integers(0, 7), VALUES), max_size=8), body=st.binary(max_size=200))
async def test_no_header_causes_any_other_error(case: Case, values: list[tuple[int, bytes]], body: bytes) -> None:
    signed = case.signed()
    names = [name for name, _ in signed.headers]
    headers = [(names[number % len(names)], value) for number, value in values]
    await refusal(case, signed.with_headers(headers).with_body(body))


@every_provider_with_a_header
async def test_a_junk_signature_next_to_the_genuine_one_does_no_harm(case: Case) -> None:
    """A repeated header is read whole, not only its first value."""
    signed = case.signed()
    assert await verify(case, signed.with_headers([(case.signature, b"\xff junk"), *signed.headers]))
    assert await verify(case, signed.with_headers([*signed.headers, (case.signature, b"\xff junk")]))


@every_provider_that_signs_the_body
@pytest.mark.parametrize("body", [b"", b"not JSON", b"\xff", b"[" * 100_000])
async def test_the_signature_is_proven_before_anything_is_parsed(case: Case, body: bytes) -> None:
    assert await refusal(case, case.signed().with_body(body)) == "mismatch"


@every_timed_provider
@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [
        (-TOLERANCE_S_DEFAULT - 1, "stale"),
        (TOLERANCE_S_DEFAULT + 1, "future"),
        (-NOW_S, "stale"),
        (10 * NOW_S, "future"),
    ],
)
async def test_a_request_signed_outside_the_tolerance_is_refused(case: Case, offset_s: int, reason: str) -> None:
    body = case.write(case.event("x")).encode()
    assert await refusal(case, case.deliver_bytes(body, at_s=NOW_S + offset_s)) == reason


@every_timed_provider
@pytest.mark.parametrize("offset_s", [-TOLERANCE_S_DEFAULT, 0, TOLERANCE_S_DEFAULT])
async def test_a_request_signed_within_the_tolerance_passes(case: Case, offset_s: int) -> None:
    assert await verify(case, case.signed(at_s=NOW_S + offset_s))


@every_timed_provider
async def test_the_tolerance_is_a_setting(case: Case) -> None:
    source = case.source(tolerance_s=5)
    assert await source.verify(case.signed(at_s=NOW_S - 5).request())
    with pytest.raises(SignatureError):
        await source.verify(case.signed(at_s=NOW_S - 6).request())
