"""No test of a provider waits before it asks an API again."""

from collections.abc import Iterator

import pytest

from providers import api_client


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_client, "BACKOFF_S", 0.001)
        yield
