"""Braintree's challenge by GET: answered as its own library does, and useless for anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import Answer, Headers, PayloadError, Request, SignatureError
from tests.support.cases.base import NOW, Signed
from tests.support.cases.braintree import BraintreeCase, form, sdk_gateway
from tests.support.verification import event_of, outcome_of

CASE = BraintreeCase()
SECRET = CASE.secrets[0]


def challenged(query: str, *secrets: str, **public_key: object) -> Answer:
    request = Request("GET", f"/webhooks/a?{query}", Headers([]), b"", NOW)
    return CASE.source(*secrets, **public_key).challenge(request)


def test_braintrees_published_challenge_is_answered() -> None:
    """Published: github.com/braintree/braintree_python, tests/unit/test_webhooks.py."""
    answer = challenged(
        "bt_challenge=20f9f8ed05f77439fe955c977e4c8a53",
        "integration_private_key",
        public_key="integration_public_key",
    )
    assert answer == Answer(200, "text/plain", b"integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4")


@settings(deadline=None)
@given(challenge=st.text(alphabet="0123456789abcdef", min_size=20, max_size=32))
def test_braintrees_own_code_answers_a_challenge_in_the_same_way(challenge: str) -> None:
    assert challenged(f"bt_challenge={challenge}").body.decode() == sdk_gateway(SECRET).webhook_notification.verify(
        challenge
    )


CHALLENGE = "20f9f8ed05f77439fe955c977e4c8a53"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "bt_challenge",
        "bt_challenge=",
        "bt_challenge=bad%20challenge",
        f"bt_challenge={CHALLENGE[:19]}",
        f"bt_challenge={CHALLENGE}0",
        f"bt_challenge={CHALLENGE.upper()}",
        f"bt_challenge={CHALLENGE}\n",
        f"bt_challenge={CHALLENGE}%0A",
        f"bt_challenge={CHALLENGE}&bt_challenge={CHALLENGE}",
        f"bt_challenge={CHALLENGE}\udcff",
        f"x=y&bt_challenge={CHALLENGE}",
    ],
)
def test_nothing_else_is_signed_for_a_stranger(query: str) -> None:
    with pytest.raises(SignatureError):
        challenged(query)


@settings(deadline=None)
@given(challenge=st.text(alphabet="0123456789abcdef", min_size=20, max_size=32))
async def test_an_answered_challenge_is_not_an_event(challenge: str) -> None:
    """One key signs both: a stranger can have any hex digits signed, and these are not XML in base64."""
    signature = challenged(f"bt_challenge={challenge}").body
    signed = Signed([], form(challenge.encode(), signature))
    assert await outcome_of(CASE, signed) == "genuine"
    with pytest.raises(PayloadError):
        await event_of(CASE, signed)
