"""Lone surrogates and constants: what is accepted, all readers of a provider read; nothing else is accepted."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.event import Event
from providers import FACT_EXTRACTORS
from providers.base import PayloadError, SignatureError
from providers.facts import IncompleteError
from providers.json_text import ConstantError, refuse_constants, without_lone_surrogates
from tests.support.cases.base import Case, Signed
from tests.support.conformance import every_provider_of_json, verify
from tests.support.provider_cases import CASES
from tests.support.recorded import Recording, recordings

LONE = (
    rb"\ud83c",
    rb"\uDBFF",
    rb"\udfff x",
    rb"\ude00\ud83d",
    rb"\ud83d\\ud83d",
    rb"\ud83d\ud83d\ude00",
    rb"\uDc00",
    rb"\\\ud83d\\",
)
CONSTANTS = (b"NaN", b"Infinity", b"-Infinity", b"[1,NaN]", b'{"a":-Infinity}')

JSON = [each for each in recordings() if "body" in each.content]
every_recording_of_json = pytest.mark.parametrize("recording", JSON, ids=[f"{e.provider}/{e.name}" for e in JSON])


def with_unread(body: bytes, value: bytes) -> bytes:
    """Return the JSON object with a first member that nobody reads, at the top and in each inner object."""
    return body.replace(b"{", b'{"unread":' + value + b",").replace(b",}", b"}")


def deliver(case: Case, value: bytes) -> Signed:
    body = case.write(case.event("x"))
    return case.deliver(with_unread(body.encode(), value).decode())


@every_provider_of_json
@pytest.mark.parametrize("lone", LONE)
async def test_a_lone_surrogate_in_a_field_that_nobody_reads_is_accepted(case: Case, lone: bytes) -> None:
    signed = deliver(case, b'"gift %b"' % lone)
    (delivery,) = await verify(case, signed)
    assert delivery.event.body in signed.sent()[1]
    assert lone in delivery.event.body


@every_provider_of_json
@pytest.mark.parametrize("constant", CONSTANTS)
async def test_a_constant_is_refused_by_each_provider_that_reads_the_body(case: Case, constant: bytes) -> None:
    if case.provider == "github":
        return  # an unreadable body of it is accepted, and no other reader follows
    with pytest.raises((PayloadError, SignatureError)):
        await verify(case, deliver(case, constant))
    assert await verify(case, deliver(case, b'"%b, they say"' % constant.replace(b'"', b"")))


@every_recording_of_json
def test_a_lone_surrogate_that_nobody_reads_changes_no_fact(recording: Recording) -> None:
    event, lone = recording.event(), rb'"gift \ud83c"'
    if "incomplete" in recording.content:
        with pytest.raises(IncompleteError):
            FACT_EXTRACTORS[recording.provider](odd(event, lone))
        return
    facts = FACT_EXTRACTORS[recording.provider](odd(event, lone))
    assert [[fact.kind, fact.amount, fact.currency, fact.object] for fact in facts] == recording.content["facts"]


def odd(event: Event, value: bytes) -> Event:
    return replace(event, body=with_unread(event.body, value))


@pytest.mark.parametrize(
    "provider", ["stripe", "checkout", "mollie", "square", "paddle", "hmac", "gocardless", "klarna"]
)
async def test_a_lone_surrogate_in_the_id_is_no_documented_body(provider: str) -> None:
    case = CASES[provider]
    signed = case.signed()
    (delivery,) = await verify(case, signed)
    identifier = json.dumps(delivery.event.event_id.partition(":")[0])
    assert identifier in signed.body.decode()
    body = signed.body.decode().replace(identifier, identifier[:-1] + '\\ud83c"')
    with pytest.raises(PayloadError):
        await verify(case, case.deliver(body))


@given(st.text(alphabet=st.characters(categories=["L", "Cs", "Cc", "Po", "So"]) | st.sampled_from('\\"u\ud83d\ude00')))
def test_a_text_without_lone_surrogates_is_the_same_and_as_long(text: str) -> None:
    written = json.dumps({"a": text}).encode()
    without = without_lone_surrogates(written)
    assert len(without) == len(written)
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    read = json.loads(without)["a"]
    assert read.replace("\0", "") == paired.replace("\N{REPLACEMENT CHARACTER}", "").replace("\0", "")
    assert read.isprintable() or not text.isprintable() or "\0" in read


def test_constants_in_texts_and_broken_bodies_are_not_refused_here() -> None:
    for text in (b'{"a":"NaN"}', b'"-Infinity"', b'{"NaN":1}', b"[" * 100_000 + b"NaN", b'{"a":"NaN'):
        refuse_constants(text)
    for text in (b"NaN", b'{"a":[1,{"b":-Infinity}]}'):
        with pytest.raises(ConstantError):
            refuse_constants(text)
