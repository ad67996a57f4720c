"""What a handler can say by raising, and how its failure is told to whoever decides about retries."""

import math

RETRY_AFTER_S_MAX = 24 * 60 * 60
"""The longest a handler may put an event off: it stays in a worker's hands until then."""


class Retry(Exception):  # noqa: N818 - a verb for handlers
    """Raise it to have this event tried again: after `after` seconds, or the usual growing delay where None."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        if after is not None and not (math.isfinite(after) and 0 <= after <= RETRY_AFTER_S_MAX):
            raise ValueError(f"Retry(after={after!r}) is not between 0 and {RETRY_AFTER_S_MAX} seconds")
        self.after_s = after


class Reject(Exception):  # noqa: N818 - a verb for handlers
    """Raise it when this event can never be applied: it goes to the dead letters with this reason."""


class HandlerFailed(Exception):  # noqa: N818 - a fact, wrapped for whoever decides about retries
    """A handler raised; the cause is `__cause__`. `connection_lost` tells whether Postgres was gone by then, `is_guest`
    whether it was a user's handler, whose SQL may be wrong; that of the built-in projections is not.
    """

    def __init__(self, cause: BaseException, *, connection_lost: bool, is_guest: bool = True) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__)
        self.connection_lost = connection_lost
        self.is_guest = is_guest


class TransactionEndedError(Exception):
    """A handler ended the transaction it was given, or went on after one of its statements had failed in it."""


class HandlerCancelledError(Exception):
    """A handler let a cancellation of its own out, which would have stopped the worker."""


class HandlersError(Exception):
    """HANDLERS does not name usable handlers."""
