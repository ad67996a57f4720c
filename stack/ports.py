"""Ports of loopback: the usual one where it is free, otherwise one the system picks."""

import errno
import socket
from collections.abc import Collection

from stack.base import StackError

HOST = "127.0.0.1"

PICK_ATTEMPTS_MAX = 100
"""How often the system is asked again when it picks a port that is already promised to somebody."""


class PortTakenError(StackError):
    """The port that was asked for by name is somebody else's."""


def free_port(taken: Collection[int] = ()) -> int:
    """A port nobody listens on now and that is not in `taken`."""
    for _ in range(PICK_ATTEMPTS_MAX):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise OSError(errno.EADDRINUSE, f"the system offered no free port in {PICK_ATTEMPTS_MAX} attempts")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def usual_or_free(usual: int, taken: Collection[int] = ()) -> int:
    """The usual port if it is free and not in `taken`, else a free one."""
    return usual if usual not in taken and is_free(usual) else free_port(taken)
