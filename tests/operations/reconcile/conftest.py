"""Fixtures of the comparisons with a provider's list."""

from collections.abc import AsyncIterator

import pytest

from providers import api_client
from providers.api import Limits
from providers.apis import APIS
from tests.support.consuming import Workers
from tests.support.reconciling import Reconciler
from tests.support.stand_ins.listing import Listing


@pytest.fixture(autouse=True)
def _no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no provider's rate make a test wait."""
    for api in APIS.values():
        monkeypatch.setattr(api, "limits", Limits(requests_per_s_max=10_000))


@pytest.fixture
async def listing() -> AsyncIterator[Listing]:
    """A provider's list, which is empty."""
    async with Listing().serving() as server:
        yield server


@pytest.fixture
def reconciler(workers: Workers, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> Reconciler:
    """An operator who compares the source `stripe` with the list."""
    monkeypatch.setattr(api_client, "BACKOFF_S", 0.001)
    return Reconciler(workers, listing)
