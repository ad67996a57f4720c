"""Ports of loopback: the usual one if it is free, otherwise one that the system picks."""

import errno
import socket
from collections.abc import Collection

import psutil

from stack.base import StackError

HOST = "127.0.0.1"

PICK_ATTEMPTS_MAX = 100
"""How often the system is asked again when it picks a port that is already chosen for another program."""


class PortTakenError(StackError):
    """The port that a setting names is taken by another program."""


def free_port(taken: Collection[int] = ()) -> int:
    """Return a port that is free now and not in `taken`."""
    for _ in range(PICK_ATTEMPTS_MAX):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise OSError(errno.EADDRINUSE, f"the system offered no free port in {PICK_ATTEMPTS_MAX} attempts")


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def holder(port: int) -> str:
    """Return which program listens on this port, as far as the system shows it to us."""
    try:
        pids = [each.pid for each in psutil.net_connections("tcp") if each.laddr and each.laddr[1] == port and each.pid]
        names = {f"{psutil.Process(pid).name()} (pid {pid})" for pid in pids}
    except psutil.Error:
        names = set()
    return " and ".join(sorted(names)) or "another program"


def usual_or_free(usual: int, taken: Collection[int] = ()) -> int:
    """Return the usual port if it is free and not in `taken`, else a free one."""
    return usual if usual not in taken and is_free(usual) else free_port(taken)
