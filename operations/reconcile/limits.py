"""How long one run may take, and when a source that could not be compared is tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from operations.reconcile.errors import NoRoomError, ReconcileError
from providers.api import ApiRefusedError, ApiUnavailableError

RUN_S_MAX = 6 * 60 * 60.0
"""How long one run may take. The next one goes on where it ended."""

FAILED_AGAIN, FAILED_AGAIN_MAX = timedelta(minutes=1), timedelta(hours=1)
"""How soon a source whose API was not available is asked again; doubled with each failure."""

REFUSED_AGAIN = timedelta(hours=1)
"""How soon a source whose credentials are refused is asked again: a person has to act."""


def again(error: Exception, every: timedelta, failures: int) -> timedelta:
    """Return when a source that could not be compared is asked again."""
    if isinstance(error, ApiRefusedError):
        return REFUSED_AGAIN
    if isinstance(error, ApiUnavailableError | NoRoomError):
        asked = timedelta(seconds=getattr(error, "retry_after_s", None) or 0)  # a day at most, as the client reads it
        backoff: timedelta = FAILED_AGAIN * 2 ** min(failures, 10)
        return max(asked, min(backoff, FAILED_AGAIN_MAX))
    return min(every, FAILED_AGAIN_MAX)


@asynccontextmanager
async def limited() -> AsyncIterator[None]:
    """Raise ReconcileError if it takes more than RUN_S_MAX."""
    limit = asyncio.timeout(RUN_S_MAX)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise ReconcileError(
                f"it took more than {RUN_S_MAX / 3600:.0f} hours; the next run goes on where this one ended"
            ) from None
        raise
