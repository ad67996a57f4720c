"""What the figures of `verify` stand on, without any clock: genuine requests of the stated size, and a bare side."""

import pytest

from tests.benchmarks.verify import BODY_BYTES, sides
from tests.support.cases.base import Case
from tests.support.provider_cases import CASES

every_provider = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_provider
async def test_both_sides_work_on_a_request_of_that_size(case: Case) -> None:
    both = sides(case)
    (delivery,) = await both.verify(both.request)
    assert delivery.event.provider == both.provider == case.provider
    assert BODY_BYTES <= len(both.request.body) <= 2 * BODY_BYTES
    both.bare()
