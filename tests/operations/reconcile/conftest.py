"""Fixtures of the comparisons with a provider's list."""

from collections.abc import AsyncIterator

import pytest

from providers import api_client
from tests.support.consuming import Workers
from tests.support.reconciling import Reconciler
from tests.support.stand_ins.listing import Listing


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
