"""Ports of loopback: the usual one if it is free, otherwise any that is."""

import errno
import random
import socket
from collections.abc import Collection

import psutil

from stack.base import StackError

HOST = "127.0.0.1"

PICKED = range(20_000, 32_768)
"""Below those that systems give to connections: one of these may have a port before its server is started."""

PICK_ATTEMPTS_MAX = 100
"""How many ports are tried before it is an error that each is taken."""


class PortTakenError(StackError):
    """The port that a setting names is taken by another program."""


def free_port(taken: Collection[int] = ()) -> int:
    """Return a port that is free now and not in `taken`."""
    for port in random.sample(PICKED, PICK_ATTEMPTS_MAX):
        if port not in taken and is_free(port):
            return port
    raise OSError(errno.EADDRINUSE, f"{PICK_ATTEMPTS_MAX} ports from {PICKED.start} on are all taken")


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
