"""Senders that sign the raw body: their own libraries accept and refuse the same signatures."""

from typing import Any

import pytest
import razorpay
from gocardless_pro import webhooks
from gocardless_pro.errors import InvalidSignatureError
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.base import SignatureError
from tests.support.cases.base import Signed
from tests.support.cases.raw_body import RawBodyCase
from tests.support.provider_cases import CASES

EDIT = st.tuples(st.integers(0, 70), st.integers(0, 3), st.sampled_from(["", "0", "a", "A", " ", ",", "é"]))


async def passes(case: RawBodyCase, signed: Signed) -> bool:
    try:
        await case.source().verify(signed.request())
    except SignatureError:
        return False
    return True


def razorpay_passes(body: str, signature: str, secret: str) -> bool:
    """Return whether Razorpay's library accepts it. A signature that is not ASCII makes it raise a TypeError."""
    try:
        client = razorpay.Client(auth=("id", "api secret"))
        return bool(client.utility.verify_webhook_signature(body, signature, secret))
    except (razorpay.errors.SignatureVerificationError, TypeError):
        return False


def gocardless_passes(body: str, signature: str, secret: str) -> bool:
    """Return whether GoCardless' library accepts it, with the same flaw."""
    try:
        return bool(webhooks.parse(body, secret, signature))
    except (InvalidSignatureError, TypeError):
        return False


@pytest.mark.parametrize(
    ("provider", "theirs"),
    [("razorpay", razorpay_passes), ("gocardless", gocardless_passes)],
    ids=["razorpay", "gocardless"],
)
@settings(deadline=None, max_examples=200)
@given(
    text=st.text(max_size=30), secret=st.sampled_from([0, 0, 1]), edit=EDIT, tail=st.sampled_from(["", "", "\n", " "])
)
async def test_the_senders_libraries_agree(
    provider: str, theirs: Any, text: str, secret: int, edit: tuple[int, int, str], tail: str
) -> None:
    case = CASES[provider]
    assert isinstance(case, RawBodyCase)
    signed = case.deliver(case.write(case.event(text)), case.secrets[secret])
    ((name, value),) = signed.headers
    start, length, inserted = edit
    signature = value[:start].decode() + inserted + value[start + length :].decode()
    body = signed.body.decode() + tail
    ours = await passes(case, Signed([(name, signature.encode())], body.encode()))
    assert ours is theirs(body, signature, case.secrets[0])
