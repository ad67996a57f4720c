"""Our client of Stripe's API, asking the stand-in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from providers.api import Limits
from providers.stripe.api import StripeApi
from providers.stripe.settings import StripeAccess
from tests.support.stand_ins.stripe import KEY, StripeStandIn

QUICK = Limits(timeout_s=5, attempts_max=4, requests_per_s_max=100_000)


def access(server: StripeStandIn, **changed: Any) -> StripeAccess:
    """Return the access to the stand-in, with other settings."""
    table = {"source": "stripe", "namespace": "stripe", "mode": "test", "api_key": KEY, "api_url": server.url}
    return StripeAccess.model_validate({**table, **changed})


@asynccontextmanager
async def asking(server: StripeStandIn, **changed: Any) -> AsyncIterator[StripeApi]:
    """The API with these settings, for the length of a block."""
    api = StripeApi(access(server, **changed))
    await api.open(QUICK)
    try:
        yield api
    finally:
        await api.close()
