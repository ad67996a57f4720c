"""The two-stage pipeline around a worker's transactions."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from consumers.acks import CommitResult
from consumers.entry import Entry, Unreadable
from consumers.retry import INFRASTRUCTURE

Result = TypeVar("Result")


class AckPipeline:
    """Overlaps one batch's transaction with the reading of the next batch and the ack of the last one.

        batch 1    read   lock   commit   ack - - - - - -
        batch 2           prefetch - - -  lock   commit   ack - - - - - -
        batch 3                                  prefetch -  lock   commit   ack

    Stage one, prefetch: while batch N is committed, batch N+1 is read. Stage two, background ack: while batch N+1 is
    locked and committed, batch N is acknowledged, unless the two have a resource in common. There is at most one of
    each. Both are finished even if the worker is cancelled, and both raise their errors where their result is awaited.
    """

    def __init__(
        self,
        prefetch: Callable[[], Coroutine[Any, Any, list[Entry | Unreadable]]],
        ack: Callable[[CommitResult, Sequence[str]], Coroutine[Any, Any, None]],
    ) -> None:
        self._prefetch = prefetch
        self._ack = ack
        self._prefetching: asyncio.Task[list[Entry | Unreadable]] | None = None
        self._acking: asyncio.Task[None] | None = None
        self._acking_resources: set[tuple[str, str]] = set()

    @property
    def has_prefetched(self) -> bool:
        """Whether a batch was, or is being, prefetched."""
        return self._prefetching is not None

    def start_prefetch(self) -> None:
        """Read the next batch in the background."""
        self._prefetching = asyncio.create_task(self._prefetch())

    async def prefetched(self) -> list[Entry | Unreadable] | None:
        """Return the prefetched batch, or None where no prefetch was started. Raises RedisError."""
        if self._prefetching is None:
            return None
        prefetching, self._prefetching = self._prefetching, None
        return await finished(prefetching)

    def start_ack(self, committed: CommitResult, locks: Sequence[str]) -> None:
        """Acknowledge a commit, and release its locks, in the background. The last ack must be finished."""
        self._acking_resources = {entry.resource_key for entry in committed.entries}
        self._acking = asyncio.create_task(self._ack(committed, locks))

    async def wait_for_ack(self) -> None:
        """Wait until the last commit is acknowledged. Raises RedisError."""
        if self._acking:
            acking, self._acking, self._acking_resources = self._acking, None, set()
            await finished(acking)

    def is_acking(self, resources: set[tuple[str, str]]) -> bool:
        """Return whether the last commit was about one of these resources: its ack releases their locks."""
        return not self._acking_resources.isdisjoint(resources)

    async def finish(self) -> None:
        """Wait for the background ack and prefetch. Ignores infrastructure errors: the caller handles one already."""
        with suppress(*INFRASTRUCTURE):
            await self.wait_for_ack()
        with suppress(*INFRASTRUCTURE):
            await self.prefetched()


async def finished(work: asyncio.Task[Result] | Coroutine[Any, Any, Result]) -> Result:
    """Return the result of `work`, and let it finish even if the caller is cancelled; the caller is cancelled then.

    `asyncio.shield` protects the work but returns at once when the caller is cancelled.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled from task.exception()
    return task.result()
