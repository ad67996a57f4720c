"""Reading for people from a replica of Postgres, DATABASE_READ_URL, where there is one that is fit for it.

The primary is asked how far it has written, and the replica is given a moment to replay that: so a person sees what
they have just done, and a primary on which nothing happens makes no replica late. What is shown before an act is
confirmed, and the act itself, use `Servers`, which is the primary.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from operations.servers import Servers
from operations.settings import Settings
from operations.units import duration
from sql import load
from sql.connect import UnreachableError

if TYPE_CHECKING:
    from sql.connect import Connection

REPLICA = load("replica")

CATCH_UP_S = 0.3
"""How long a replica may take to replay what was committed before."""

LOOK_EVERY_S = 0.02

CONNECT_S = 1.0
"""How long a replica may take to accept a connection, and the primary to say how far it is."""

REST_S = 10.0
"""How long a replica that did not answer is left alone, so that not every page waits for it."""

FROM_PRIMARY = "this is read from the primary"


class Reader(Servers):
    """The servers for one page or command that only reads. `notes` has sentences about where it was read.

    `complete`: a replica that is behind is left for the primary, because what is shown compares Postgres with Redis: an
    event that one has let go and the other has not replayed yet would look lost.
    """

    def __init__(self, servers: Servers, *, complete: bool = False) -> None:
        super().__init__(servers.settings)
        self._primary = servers
        self._complete = complete
        url = servers.settings.database_read_url if isinstance(servers.settings, Settings) else None
        self._url = url.get_secret_value() if url else None
        self.notes: list[str] = []

    @asynccontextmanager
    async def postgres(self, timeout_s: float | None = None) -> AsyncIterator["Connection"]:
        """Open a connection to the replica, else to the primary. Raise UnreachableError."""
        opened = await self._from_replica(timeout_s)
        if opened is None:
            async with self._primary.postgres(timeout_s) as connection:
                yield connection
            return
        stack, replica = opened
        async with stack:
            yield replica

    async def _from_replica(self, timeout_s: float | None) -> "tuple[AsyncExitStack, Connection] | None":
        """Return a connection to a replica that is fit, with what closes it."""
        if self._url is None or self._primary.replica_rests_until > time.monotonic():
            if self._url is not None:
                self._note(f"DATABASE_READ_URL did not answer a moment ago: {FROM_PRIMARY}")
            return None
        try:
            async with AsyncExitStack() as stack:
                replica = await stack.enter_async_context(self._replica(self._url, timeout_s))
                if await self._is_fit(replica):
                    return stack.pop_all(), replica
        except UnreachableError as error:
            self._note(f"{error}: {FROM_PRIMARY}")
        return None

    @asynccontextmanager
    async def _replica(self, url: str, timeout_s: float | None) -> AsyncIterator["Connection"]:
        of_the_block = None
        try:
            async with self._primary.open_postgres(url, CONNECT_S, timeout_s) as connection:
                try:
                    yield connection
                except UnreachableError as error:  # of Redis, say
                    of_the_block = error
                    raise
        except UnreachableError as error:
            if error is of_the_block:
                raise
            self._primary.replica_rests_until = time.monotonic() + REST_S
            raise UnreachableError(f"DATABASE_READ_URL: {error}") from error

    async def _is_fit(self, replica: "Connection") -> bool:
        """Return whether to read there, and note what a person has to know about it."""
        position, problem = await self._read_position()
        if position is not None and position["position"] is None:
            self._note("DATABASE_URL leads to a replica, so how far DATABASE_READ_URL is behind is not known")
        state = await self._caught_up(replica, position["position"] if position else None)
        if not state["is_replica"]:
            self._note(f"DATABASE_READ_URL leads to a server that is no replica, or was promoted: {FROM_PRIMARY}")
            return False
        if position is not None and position["cluster"] != state["cluster"]:
            self._note(f"DATABASE_READ_URL leads to a replica of another server than DATABASE_URL: {FROM_PRIMARY}")
            return False
        if problem:
            self._note(f"The primary was not asked ({problem}); this is read from a replica, which {_until(state)}")
        if state["has_all"] is False:
            has = f"The replica in DATABASE_READ_URL is behind: it {_until(state)}"
            self._note(f"{has}; {FROM_PRIMARY}" if self._complete else has)
            return not self._complete
        return True

    async def _read_position(self) -> tuple[Any, str]:
        """Return how far the primary is, or None and why it could not be asked."""
        url = self.settings.database_url.get_secret_value()
        try:
            async with self._primary.open_postgres(url, CONNECT_S, CONNECT_S) as connection:
                return await connection.fetchrow(REPLICA["read_position"]), ""
        except UnreachableError as error:
            return None, str(error)

    async def _caught_up(self, replica: "Connection", position: str | None) -> Any:  # noqa: ANN401 - asyncpg's row
        """Return the replica's state once it has replayed what the primary had written, or is too slow."""
        deadline = time.monotonic() + CATCH_UP_S
        while True:
            state = await replica.fetchrow(*REPLICA.bind("read_replay", position=position))
            if state["has_all"] is not False or not state["is_replica"] or time.monotonic() > deadline:
                return state
            await asyncio.sleep(LOOK_EVERY_S)

    def _note(self, sentence: str) -> None:
        if (text := f"{sentence}.") not in self.notes:
            self.notes.append(text)


def _until(state: Any) -> str:  # noqa: ANN401 - asyncpg's row
    if state["committed_at"] is None:
        return "has replayed no commit since it started"
    behind: timedelta = state["behind"]
    ago = duration(max(0.0, behind.total_seconds()) * 1000)
    return f"has what was committed until {state['committed_at']:%Y-%m-%d %H:%M:%S} UTC, {ago} ago"
