"""Svix and Polar: what differs from Standard Webhooks, and agreement with their own code."""

import base64
import binascii
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import svix.webhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cases.base import Signed
from tests.support.cases.standard_webhooks import PolarCase, StandardWebhooksCase, SvixCase
from tests.support.verification import event_of, outcome_of

SVIX, POLAR, STANDARD = SvixCase(), PolarCase(), StandardWebhooksCase()


def renamed(signed: Signed, prefix: bytes, *names: bytes) -> Signed:
    """The same with some of the three headers under the other prefix."""
    parts = [(name.rpartition(b"-")[2], name, value) for name, value in signed.headers]
    return signed.with_headers([(prefix + part if part in names else name, value) for part, name, value in parts])


ALL = (b"id", b"timestamp", b"signature")


async def test_svixs_published_example_passes() -> None:
    """The published one: docs.svix.com, Verifying webhooks manually."""
    headers = [
        (b"svix-id", b"msg_loFOjxBNrRLzqYUf"),
        (b"svix-timestamp", b"1731705121"),
        (b"svix-signature", b"v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="),
    ]
    signed = Signed(headers, b'{"event_type":"ping","data":{"success":true}}')
    at = datetime.fromtimestamp(1731705121, UTC)
    event = await event_of(SVIX, signed, "whsec_plJ3nmyCDGBKInavdOK15jsl", received_at=at)
    assert (event.event_id, event.type, event.occurred_at) == ("msg_loFOjxBNrRLzqYUf", "ping", at)


async def test_svix_may_use_the_names_of_the_specification() -> None:
    event = await event_of(SVIX, renamed(SVIX.signed(), b"webhook-", *ALL))
    assert (event.event_id, event.headers) == ("msg_1", {"webhook-id": "msg_1"})


async def test_names_of_both_kinds_are_not_mixed() -> None:
    for names in ((b"id",), (b"timestamp",), (b"signature",), (b"id", b"timestamp")):
        assert await outcome_of(SVIX, renamed(SVIX.signed(), b"webhook-", *names)) == "missing"


async def test_with_both_kinds_svixs_own_count() -> None:
    signed = SVIX.signed()
    forged = [(b"webhook-id", b"msg_2"), (b"webhook-timestamp", b"1"), (b"webhook-signature", b"v1,x")]
    event = await event_of(SVIX, signed.with_headers([*forged, *signed.headers]))
    assert event.event_id == "msg_1"
    assert event.headers == {"webhook-id": "msg_1"}


async def test_svixs_names_mean_nothing_to_the_others() -> None:
    assert await outcome_of(STANDARD, SVIX.signed()) == "missing"


@settings(deadline=None, max_examples=150)
@given(
    text=st.text(max_size=20),
    offset_s=st.sampled_from([0, -200, 200, -100_000, 100_000]),
    secret=st.sampled_from(SVIX.secrets[:2]),
    own_names=st.booleans(),
    name=st.sampled_from(ALL),
    edit=st.tuples(st.integers(0, 50), st.sampled_from(["A", "1", "v1,", "-", "x"])),
)
async def test_svixs_library_agrees(
    text: str, offset_s: int, secret: str, own_names: bool, name: bytes, edit: tuple[int, str]
) -> None:
    """Insertions only: of what its lax base64 and timestamps make, the conformance suite has the rest."""
    body = json.dumps(SVIX.event(text))
    signed = SVIX.deliver(body, secret, int(time.time()) + offset_s)
    signed = signed if own_names else renamed(signed, b"webhook-", *ALL)
    header = next(key for key, _ in signed.headers if key.endswith(name))
    value, (start, inserted) = dict(signed.headers)[header], edit
    signed = signed.with_header(header, value[:start] + inserted.encode() + value[start:])
    ours = await outcome_of(SVIX, signed, received_at=datetime.now(UTC)) == "genuine"
    try:
        svix.webhooks.Webhook(SVIX.secrets[0]).verify(body, {key.decode(): v.decode() for key, v in signed.headers})
        theirs = True
    except (svix.webhooks.WebhookVerificationError, ValueError, binascii.Error):
        theirs = False
    lax = name != b"id"
    assert ours == theirs or (lax and theirs)


async def test_polars_key_is_the_whole_text_of_the_secret() -> None:
    body = json.dumps(POLAR.event("x"))
    as_base64 = base64.b64encode(POLAR.secrets[0].encode()).decode()
    signature = standardwebhooks.Webhook(as_base64).sign("msg_1", datetime.fromtimestamp(1789646400, UTC), body)
    assert dict(POLAR.deliver(body).headers)[b"webhook-signature"] == signature.encode()
    assert await outcome_of(POLAR, POLAR.deliver(body)) == "genuine"
    assert await outcome_of(STANDARD, POLAR.deliver(body), as_base64) == "genuine"


async def test_a_secret_that_happens_to_be_base64_is_not_decoded_for_polar() -> None:
    secret = STANDARD.secrets[0]
    assert await outcome_of(POLAR, POLAR.signed(secret), secret) == "genuine"
    assert await outcome_of(POLAR, STANDARD.signed(secret), secret) == "mismatch"


@pytest.mark.parametrize(
    ("data", "resource"),
    [
        ({"id": "order_1", "status": "paid"}, "order_1"),
        ({"id": "refund_1", "order_id": "order_1"}, "order_1"),
        ({"id": "checkout_1", "order_id": None}, "checkout_1"),
        ({"id": "sub_1", "order_id": ""}, "sub_1"),
        ({"id": 5, "order_id": 5}, "msg_1"),
        ([], "msg_1"),
    ],
)
async def test_polars_refunds_are_about_their_order(data: Any, resource: str) -> None:
    event = await event_of(POLAR, POLAR.deliver(json.dumps({"type": "refund.created", "data": data})))
    assert (event.event_id, event.type, event.resource) == ("msg_1", "refund.created", resource)
