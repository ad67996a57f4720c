"""A stand-in API, and a worker that asks it."""

from collections.abc import AsyncIterator

import pytest

from consumers.confirmation import asker
from consumers.confirmation.access import Access
from consumers.settings import Settings
from providers.api_access import KeyAccess
from tests.support.confirming import Asking
from tests.support.consuming import Workers
from tests.support.stand_ins.objects import KEY, Objects, ObjectsApi


@pytest.fixture
async def api() -> AsyncIterator[Objects]:
    """An API with no objects yet."""
    async with Objects().serving() as server:
        yield server


@pytest.fixture
def access(api: Objects) -> Access:
    """The access of a source `stripe` to that API."""
    settings = {"source": "stripe", "namespace": "stripe", "api_key": KEY, "api_url": api.url}
    return Access({"stripe": ObjectsApi(KeyAccess.model_validate(settings))})


@pytest.fixture
def asking(
    workers: Workers, settings: Settings, access: Access, api: Objects, monkeypatch: pytest.MonkeyPatch
) -> Asking:
    """Workers that ask it, and look often."""
    monkeypatch.setattr(asker, "LOOK_EVERY_S", 0.05)
    return Asking(workers, settings, access, api)
