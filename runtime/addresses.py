"""Servers behind one address of which some are dead: a machine that is off answers nothing, and connecting to it hangs.

Libraries try the addresses of a name, and the servers of a list, one after the other within one time limit. Where that
limit was reached once, `LivingServers` chooses those that answer.
"""

import asyncio
import socket
from collections.abc import Sequence

ACCEPTS_WITHIN_S = 0.5
"""How long a server may take to accept a connection where others of the same address may be dead."""

Server = tuple[str, int]
"""An address or name, and a port."""


async def resolve(host: str, port: int) -> list[Server]:
    """Return every address of a name, in the order of the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found))


class LivingServers:
    """For each address that once did not answer in time: those of its servers that accept connections."""

    def __init__(self) -> None:
        self._living: dict[str, list[Server]] = {}

    def __contains__(self, address: str) -> bool:
        return address in self._living

    def fell_silent(self, address: str) -> None:
        """Note that connecting took too long: some server of the address may be dead."""
        self._living[address] = []

    async def choose(self, address: str, servers: Sequence[Server]) -> list[Server]:
        """Return those of the address's servers, at least one, that accepted connections when they were last tried.

        They are tried again after the address fell silent again, or leads to others.
        """
        known = self._living[address]
        if not known or not set(known) <= set(servers):
            known = self._living[address] = await _accepting(servers)
        return known


async def _accepting(servers: Sequence[Server]) -> list[Server]:
    """Return the servers that accept connections now, in their order; all of them if none does."""
    tasks = {asyncio.create_task(_accepts(server)): server for server in servers}
    try:
        await asyncio.wait(tasks, timeout=ACCEPTS_WITHIN_S)
        return [server for task, server in tasks.items() if task.done() and task.result()] or list(servers)
    finally:
        for task in tasks:
            task.cancel()


async def _accepts(server: Server) -> bool:
    try:
        _, writer = await asyncio.open_connection(*server)
    except OSError:
        return False
    writer.transport.abort()
    return True
