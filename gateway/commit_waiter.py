"""Waiting until published events are committed, for senders that ask for it with `Prefer: wait=N` (RFC 7240)."""

import asyncio
import re

import structlog
from redis.exceptions import ResponseError

from contract.keys import COMMITTED
from gateway.link import Link, PublishUnavailableError
from providers.base import Headers

POLL_S = 0.01
"""How often the markers are looked at, all waiting ones in one command, while anybody waits."""

WAITERS_MAX = 1000
"""Requests that may wait at a time; one more is answered at once, as if it had not asked."""

_WAIT = re.compile(rb"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,20})\"?(?:$|[,;\s])", re.IGNORECASE)

log = structlog.get_logger()


def asked_wait_s(headers: Headers, wait_s_max: float) -> float:
    """How long the sender would like to wait, at most `wait_s_max`; 0 where it does not say so in a readable way."""
    for value in headers.get_all("prefer"):
        found = _WAIT.search(value)
        if found:
            return min(float(found[1]), wait_s_max)
    return 0.0


class CommitWatcher:
    """Looks at duplicate markers: the consumers set them to `committed` right after the commit, and never before.

    A message to whoever waits would be lost with a connection; a marker is still there at the next look. What is not
    known in time, for whatever reason, is not "committed". Without anybody who waits, nothing is looked at.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._closed = False

    async def committed(self, marker: str, timeout_s: float) -> bool:
        """Whether the event of this marker is committed within the time. Raises nothing: False means "not known"."""
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
        """Everybody is answered now."""
        self._closed = True
        self._settle(list(self._waiting), outcome=False)

    async def _poll(self) -> None:
        try:
            while self._waiting:
                markers = list(self._waiting)
                values = await self._link.ask(("MGET", *markers))
                told = zip(markers, values, strict=True)
                done = {marker: value == COMMITTED for marker, value in told if value in (COMMITTED, None)}
                self._settle([marker for marker, committed in done.items() if committed], outcome=True)
                self._settle([marker for marker, committed in done.items() if not committed], outcome=False)
                await asyncio.sleep(POLL_S)
        except (PublishUnavailableError, ResponseError) as error:
            log.warning("nobody knows now what is committed", reason=str(error))
        finally:  # whoever still waits is answered "accepted", which is true
            self._polling = None
            self._settle(list(self._waiting), outcome=False)

    def _settle(self, markers: list[str], *, outcome: bool) -> None:
        for marker in markers:
            for future in self._waiting.pop(marker, ()):
                if not future.done():
                    future.set_result(outcome)

    def _forget(self, marker: str, future: asyncio.Future[bool]) -> None:
        futures = self._waiting.get(marker, [])
        if future in futures:
            futures.remove(future)
        if not futures:
            self._waiting.pop(marker, None)
