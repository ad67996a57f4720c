"""Waiting for the commit of published events, for senders that ask for it with `Prefer: wait=N` (RFC 7240)."""

import asyncio
import re
from collections.abc import Sequence

import structlog
from redis.exceptions import ResponseError

from contract.keys import is_committed
from gateway.redis_writer import RedisUnavailableError, RedisWriter
from providers.base import Headers
from runtime.redis_cluster import partition_of_command

POLL_S = 0.01
"""Time between two looks at the markers; one command reads all of them."""

WAITERS_MAX = 1000
"""Requests that may wait at a time; one more is answered at once, as if it had not asked."""

_WAIT = re.compile(rb"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,20})\"?(?:$|[,;\s])", re.IGNORECASE)

log = structlog.get_logger()


def requested_wait_s(headers: Headers, wait_s_max: float) -> float:
    """Return how long the sender asks to wait, at most `wait_s_max`; 0 without a readable preference."""
    for value in headers.get_all("prefer"):
        found = _WAIT.search(value)
        if found:
            return min(float(found[1]), wait_s_max)
    return 0.0


class CommitWaiter:
    """Polls duplicate markers, which the consumers set to `committed` right after the commit and never before.

    A published message would be lost with a connection; a marker is still there at the next poll. Whatever is not known
    in time counts as not committed. Nothing is polled while nobody waits.
    """

    def __init__(self, readers: Sequence[RedisWriter]) -> None:
        """`readers`: one for all partitions, or one for each."""
        self._readers = readers
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiters(self) -> list[int]:
        """How many requests wait for each marker."""
        return [len(futures) for futures in self._waiting.values()]

    @property
    def is_polling(self) -> bool:
        """Whether Redis is asked regularly now."""
        return self._polling is not None

    async def is_committed(self, marker: str, timeout_s: float) -> bool:
        """Wait until the event of this marker is committed. False where that is not known within the time."""
        if self._closed or len(self._waiting) >= WAITERS_MAX:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(marker, []).append(future)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(), name="commits")
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return False
        finally:
            self._forget(marker, future)

    def close(self) -> None:
        """Answer everybody who waits, now."""
        self._closed = True
        self._complete(list(self._waiting), committed=False)

    async def _poll(self) -> None:
        try:
            while self._waiting:
                states = await self._read(list(self._waiting))
                self._complete([marker for marker, value in states if value and is_committed(value)], committed=True)
                self._complete([marker for marker, value in states if value is None], committed=False)
                await asyncio.sleep(POLL_S)
        except (RedisUnavailableError, ResponseError) as error:
            log.warning("commits cannot be observed; waiting requests are answered as accepted", reason=str(error))
        finally:  # "accepted" is true for those who still wait
            self._polling = None
            self._complete(list(self._waiting), committed=False)

    async def _read(self, markers: Sequence[str]) -> list[tuple[str, bytes | None]]:
        of_reader: dict[int, list[str]] = {}
        for marker in markers:
            partition = partition_of_command(("MGET", marker)) or 0
            of_reader.setdefault(partition % len(self._readers), []).append(marker)
        states: list[tuple[str, bytes | None]] = []
        for reader, names in of_reader.items():
            states += zip(names, await self._readers[reader].read(("MGET", *names)), strict=True)
        return states

    def _complete(self, markers: list[str], *, committed: bool) -> None:
        for marker in markers:
            for future in self._waiting.pop(marker, ()):
                if not future.done():
                    future.set_result(committed)

    def _forget(self, marker: str, future: asyncio.Future[bool]) -> None:
        futures = self._waiting.get(marker, [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._waiting.pop(marker, None)
