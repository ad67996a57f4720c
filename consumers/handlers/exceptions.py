"""What a handler can raise, and how its failure reaches the code that decides about retries."""

import math
from collections.abc import Mapping

from contract.event import Event

RETRY_AFTER_S_MAX = 24 * 60 * 60
"""The longest delay of a retry: until then the event stays in the worker's delay queue."""


class Retry(Exception):  # noqa: N818 - a verb for handlers
    """Raise it to have this event tried again: after `after` seconds, or after the usual growing delay if None."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        if after is not None and not (math.isfinite(after) and 0 <= after <= RETRY_AFTER_S_MAX):
            raise ValueError(f"Retry(after={after!r}) is not between 0 and {RETRY_AFTER_S_MAX} seconds")
        self.after_s = after


class Reject(Exception):  # noqa: N818 - a verb for handlers
    """Raise it if this event can never be applied: it is dead-lettered with this reason."""


class HandlerFailed(Exception):  # noqa: N818 - a wrapper, not an error of its own
    """A handler raised `__cause__`. `connection_lost`: the connection to Postgres was closed by then.

    `is_user_handler`: it was a user's handler, whose SQL may be wrong, and not a built-in projection.
    """

    def __init__(self, cause: BaseException, *, connection_lost: bool, is_user_handler: bool = True) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__)
        self.connection_lost = connection_lost
        self.is_user_handler = is_user_handler


class TransactionEndedError(Exception):
    """A handler ended the transaction it was given, or continued after one of its statements had failed in it."""


class HandlerCancelledError(Exception):
    """A handler raised a cancellation of its own, which would have stopped the worker."""


class HandlerBlockedError(Exception):
    """A handler kept the worker's event loop from running, and the attempt failed with it."""

    def __init__(self, handler: str, event: Event, blocked_s: float) -> None:
        super().__init__(
            f"handler {handler} blocked the worker's event loop for {blocked_s:.1f} s: use await or asyncio.to_thread"
        )
        self.event = event
        self.blocked_s = blocked_s


class SlowCallsError(Exception):
    """Handlers took so long that their events must leave the batch. Nothing of the batch is kept.

    `handlers`: the id() of each such event's object → the handler's name. `waited`: how many of them were waited for,
    because nobody knew before that they are slow.
    """

    def __init__(self, handlers: Mapping[int, str], waited: int) -> None:
        super().__init__(f"{len(handlers)} events of a batch have slow handlers")
        self.handlers = handlers
        self.waited = waited


class HandlersError(Exception):
    """HANDLERS does not name usable handlers."""
