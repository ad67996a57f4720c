"""Why a comparison of a source with its provider's list does not come to its end. Each text is one sentence."""


class ReconcileError(Exception):
    """A comparison cannot go on. The text is one sentence."""


class UnknownAccountError(ReconcileError):
    """Nothing shows that the list is of the account whose events arrive here, so nothing of it is added."""

    def __init__(self) -> None:
        super().__init__(
            "nothing that is listed was known here before, and nothing that arrived last is known there. The key may "
            "be of another account, or the source has another namespace now. If it is a new source whose history is "
            "wanted, or an empty database is filled again: FROM_NOTHING=1 adds what is listed"
        )


class BusyError(ReconcileError):
    """Somebody else compares the source now, or it is not due."""


class NoRoomError(ReconcileError):
    """The stream is as long as BACKLOG_LIMIT allows."""


class WindowError(ReconcileError):
    """There is nothing to compare."""
