"""Payments that were not finished when they were listed for the last time: they are asked for one by one.

A list by the time of making does not show them again. What a bank authorizes weeks later, or what is captured, paid or
disputed then, has an event of its own; only if that is lost, too, is it found here.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from providers.api import Api, ApiRefusedError, ApiUnexpectedError, Listed, NotFoundError, PaymentLookup
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

RECONCILE = load("reconcile")

UNFINISHED_MAX = 200
"""How many payments one run asks for, the newest first."""

UNFINISHED_FOR = timedelta(days=60)
"""How long after it was made a payment is asked for."""

FORBIDDEN = 403

log = structlog.get_logger()


async def look_up_unfinished(
    connection: "Connection", api: Api, before: datetime
) -> AsyncIterator[Sequence[Listed]]:  # fmt: skip
    """Yield what the provider says now about unfinished payments of before a time, each by itself. Raise ApiError."""
    if not isinstance(api, PaymentLookup):
        return
    query = RECONCILE.bind(
        "list_unfinished", namespace=api.access.namespace, provider=api.name, since=before - UNFINISHED_FOR,
        before=before, limit=UNFINISHED_MAX,
    )  # fmt: skip
    for row in await connection.fetch(*query):
        yield await ask_about(api, row["payment_id"])


async def ask_about(api: PaymentLookup, payment_id: str) -> Sequence[Listed]:
    """Return what the provider says about a payment; nothing if it does not know it, or may not say it: such a payment
    is of another account of the namespace. Raise ApiError.
    """
    try:
        return await api.fetch_payment(payment_id)
    except (NotFoundError, ApiUnexpectedError, ApiRefusedError) as error:
        if isinstance(error, ApiRefusedError) and error.status != FORBIDDEN:
            raise
        log.info("a payment cannot be asked for", payment_id=payment_id, reason=str(error))
        return ()
