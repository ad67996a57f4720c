"""Paddle: its header, its 5 seconds, what its events are about, and agreement with its own library."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddle_billing.Notifications import Secret, Verifier

from providers import PROVIDERS
from providers.base import PayloadError
from tests.support.cases.base import NOW, Signed
from tests.support.cases.paddle import PaddleCase
from tests.support.verification import event_of, outcome_of

CASE = PaddleCase()
HEADER = CASE.signature


@dataclass
class Posted:
    """As its library takes a request."""

    headers: dict[str, str]
    body: bytes


def sdk_passes(signed: Signed, *secrets: str) -> bool:
    """Return whether Paddle's own verifier accepts it, by the machine's clock.

    It leaks ValueError and ConnectionRefused.
    """
    request = Posted({name.decode(): value.decode() for name, value in signed.headers}, signed.body)
    try:
        return bool(Verifier(300).verify(request, [Secret(secret) for secret in secrets or CASE.secrets[:1]]))
    except (ValueError, ConnectionRefusedError, TypeError):
        return False


async def test_paddles_published_example_passes() -> None:
    """The published one: github.com/PaddleHQ/paddle-python-sdk, tests of the verifier, several secrets and h1."""
    secrets = (
        "pdl_ntf_01hbpjmytsa32fhr36nqgc3kgb_TjIG2BXbm83HPXqNfziwe506sBEdqL/4",
        "pdl_ntf_01hbpjmytsa32fhr36nqgc3kgb_WvRO0eL4Bj9rgYYIBZY6wZhG4EHy9jzh",
    )
    header = b"ts=1696195954;h1=dummy;h1=d96299976a6eb066f484d7fde011ac56fc32b38fc9940bc419d6e537fdc6ef02"
    signed = Signed([(HEADER, header)], b"hello-world")
    at = datetime.fromtimestamp(1696195954, UTC)
    proof = await CASE.source(*secrets).authenticate(signed.request(at))
    assert proof.secret_number == 2
    assert await outcome_of(CASE, signed, secrets[0], received_at=at) == "mismatch"
    with pytest.raises(PayloadError):
        await event_of(CASE, signed, *secrets, received_at=at)


async def test_the_event_has_paddles_id_type_and_time() -> None:
    event = await event_of(CASE, CASE.signed())
    assert (event.event_id, event.type, event.resource) == ("evt_1", "adjustment.created", "txn_1")
    assert event.occurred_at == datetime(2026, 9, 17, 11, 59, 58, 286848, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "data", "resource"),
    [
        ("transaction.completed", {"id": "txn_1", "subscription_id": "sub_1"}, "txn_1"),
        ("adjustment.updated", {"id": "adj_1", "transaction_id": "txn_1"}, "txn_1"),
        ("adjustment.created", {"id": "adj_1"}, "adj_1"),
        ("subscription.created", {"id": "sub_1", "transaction_id": "txn_1"}, "sub_1"),
        ("something.new", {"id": None}, "evt_1"),
        ("something.new", [], "evt_1"),
        ("something.new", None, "evt_1"),
    ],
)
async def test_refunds_are_about_their_transaction(kind: str, data: Any, resource: str) -> None:
    event = await event_of(CASE, CASE.deliver(json.dumps({**CASE.event("x"), "event_type": kind, "data": data})))
    assert event.resource == resource


@pytest.mark.parametrize("name", ["event_id", "event_type", "occurred_at"])
@pytest.mark.parametrize("value", [None, "", 5, "a\x00"])
async def test_an_undocumented_body_is_a_bad_payload(name: str, value: object) -> None:
    with pytest.raises(PayloadError):
        await event_of(CASE, CASE.deliver(json.dumps({**CASE.event("x"), name: value})))


async def test_five_seconds_are_tolerated_by_default() -> None:
    kind = PROVIDERS["paddle"]
    source = kind(kind.Source.model_validate({"source": "a", "provider": "paddle", "secrets": CASE.secrets[:1]}))
    signed = CASE.signed()
    for offset_s in (-5, 5):
        assert await source.verify(signed.request(NOW + timedelta(seconds=offset_s)))
    for offset_s, reason in ((6, "stale"), (-6, "future")):
        assert await outcome_of(CASE, signed, received_at=NOW + timedelta(seconds=offset_s), tolerance_s=5) == reason


async def test_any_h1_counts_and_no_other_scheme() -> None:
    signed = CASE.signed()
    timestamp, _, genuine = signed.headers[0][1].partition(b";h1=")
    junk = b"0" * 64
    for value, passes in {
        timestamp + b";h1=" + junk + b";h1=" + genuine: True,
        timestamp + b";h1=" + genuine + b";h1=" + junk: True,
        b"h1=" + genuine + b";" + timestamp: True,
        timestamp + b";h2=x;;y;h1=" + genuine: True,
        timestamp + b";h2=" + genuine: False,
        timestamp + b";h1=" + genuine.upper(): False,
        timestamp + b",h1=" + genuine: False,
        timestamp + b";" + timestamp + b";h1=" + genuine: False,
        timestamp + b";ts=1;h1=" + genuine: False,
        timestamp + b"; h1=" + genuine: True,
        timestamp + b" ;\t h1=" + genuine + b" ": True,
        timestamp + b";h1= " + genuine: False,
    }.items():
        assert (await outcome_of(CASE, signed.with_header(HEADER, value)) == "genuine") is passes, value


# Where Paddle's verifier accepts what ours does not: it reads ts with int() and signs the number, and of several ts it
# takes the last.
SDK_IS_LAX: dict[str, Callable[[bytes], bytes]] = {
    "a leading zero": lambda value: value.replace(b"ts=", b"ts=0"),
    "a sign": lambda value: value.replace(b"ts=", b"ts=+"),
    "a space": lambda value: value.replace(b"ts=", b"ts= "),
    "an underscore": lambda value: value[:5] + b"_" + value[5:],
    "a second ts": lambda value: b"ts=1;" + value,
}


@pytest.mark.parametrize("flaw", SDK_IS_LAX)
async def test_known_flaws_of_the_sdk_are_not_ours(flaw: str) -> None:
    signed = CASE.signed(at_s=int(time.time()))
    changed = signed.with_header(HEADER, SDK_IS_LAX[flaw](signed.headers[0][1]))
    assert sdk_passes(changed)
    assert await outcome_of(CASE, changed, received_at=datetime.now(UTC)) != "genuine"


async def test_unknown_schemes_are_ignored_although_the_sdk_fails() -> None:
    signed = CASE.signed(at_s=int(time.time()))
    changed = signed.with_header(HEADER, signed.headers[0][1] + b";h2=x")
    assert not sdk_passes(changed)
    assert await outcome_of(CASE, changed, received_at=datetime.now(UTC)) == "genuine"


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(max_size=30),
    offset_s=st.sampled_from([0, -200, 200, -100_000, 100_000]),
    secret=st.sampled_from(CASE.secrets[:2]),
    edit=st.tuples(st.integers(0, 90), st.integers(0, 3), st.sampled_from(["", ";", "=", "h1=", "0", "a"])),
)
async def test_otherwise_the_sdk_agrees(text: str, offset_s: int, secret: str, edit: tuple[int, int, str]) -> None:
    signed = CASE.deliver(json.dumps(CASE.event(text)), secret, int(time.time()) + offset_s)
    ((_, value),) = signed.headers
    start, length, inserted = edit
    value = value[:start] + inserted.encode() + value[start + length :]
    lax = value.startswith(b"ts=0")
    strict = any(item.count(b"=") != 1 for item in value.split(b";"))
    signed = signed.with_header(HEADER, value)
    ours, theirs = await outcome_of(CASE, signed, received_at=datetime.now(UTC)) == "genuine", sdk_passes(signed)
    assert ours == theirs or (lax and theirs) or (strict and ours)
