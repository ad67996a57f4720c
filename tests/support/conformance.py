"""What the conformance tests of providers share: groups of providers, and helpers."""

import pytest
from hypothesis import settings

from providers.base import Delivery, SignatureError
from tests.support.cases.base import Case, Signed
from tests.support.provider_cases import CASES

every_provider = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_timed_provider = pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.timed], ids=[name for name in CASES if CASES[name].timed]
)
BODY_SIGNED = [case for case in CASES.values() if case.covers == "body"]
every_provider_that_signs_the_body = pytest.mark.parametrize("case", BODY_SIGNED, ids=[c.provider for c in BODY_SIGNED])
OF_JSON = [case for case in CASES.values() if case.write({}) == "{}"]
every_provider_of_json = pytest.mark.parametrize("case", OF_JSON, ids=[case.provider for case in OF_JSON])
BY_HEADER = [case for case in CASES.values() if case.sent_as is Signed]
every_provider_with_a_header = pytest.mark.parametrize("case", BY_HEADER, ids=[case.provider for case in BY_HEADER])
unhurried = settings(deadline=None)


async def verify(case: Case, signed: Signed, *secrets: str) -> list[Delivery]:
    return await case.source(*secrets).verify(signed.request())


async def refusal(case: Case, signed: Signed, *secrets: str) -> str:
    with pytest.raises(SignatureError) as refused:
        await verify(case, signed, *secrets)
    return refused.value.reason


def flipped(data: bytes, bit: int) -> bytes:
    """Return the bytes with one bit flipped; bits are counted modulo the length."""
    position, mask = bit // 8 % len(data), 1 << bit % 8
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]
