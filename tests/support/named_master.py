"""Where writes belong, as a test says it: two servers are enough for what sentinels and clusters do with more."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.addresses import Server
from stack.ports import HOST
from tests.support.servers import ValkeyServer


class NamedMaster:
    """A place whose master is the one that was named last. Programs know it once one of them asks."""

    moves = True

    def __init__(self, server: ValkeyServer) -> None:
        self._named = self._known = (HOST, server.port)

    def name(self, server: ValkeyServer) -> None:
        """Let another one be the master."""
        self._named = (HOST, server.port)

    async def find(self) -> Server:
        self._known = self._named
        return self._known

    def fell_silent(self) -> None:
        """It does not matter."""

    def replaced(self, server: Server) -> bool:
        return server != self._known

    async def is_settled(self, since_s: float) -> bool:  # noqa: ARG002
        return True

    async def require(self, server: Server | None) -> None:
        if server != await self.find():
            raise RedisConnectionError("the master was replaced before it confirmed")


@contextmanager
def named_master(server: ValkeyServer) -> Iterator[NamedMaster]:
    """Let all connections ask it where Redis is."""
    place = NamedMaster(server)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("runtime.redis_connection", "gateway.server_check"):
            patch.setattr(f"{module}.place_of", lambda *_: place)
        yield place
