"""What aiohttp's protocol may do with a client's socket."""

import asyncio
from collections.abc import Iterable
from typing import Any


class ClientTransport(asyncio.Transport):
    """The transport that aiohttp sees, in front of the one that asyncio has."""

    __slots__ = ("_transport",)

    _transport: asyncio.Transport

    @property
    def client(self) -> str | None:
        """The client's address."""
        address = self._transport.get_extra_info("peername")
        return str(address[0]) if address else None

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- asyncio's own
        """Return what asyncio knows of the socket."""
        return self._transport.get_extra_info(name, default)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send an answer that aiohttp has in parts."""
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        """Do nothing: aiohttp has no more than one request."""

    def resume_reading(self) -> None:
        """Do nothing, as above."""
