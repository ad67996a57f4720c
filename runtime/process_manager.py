"""What a program and its process manager exchange, by systemd's protocols: sd_listen_fds(3) and sd_notify(3).

The manager passes a listening socket, so that no connection is refused while a process replaces another, and learns
when a process is ready. The process manager of `make up` uses both; systemd's socket units work too.
"""

import os
import socket
from collections.abc import Mapping

FIRST_FD = 3
"""The file descriptor of the first socket that is passed."""


def inherited_socket(environ: Mapping[str, str]) -> socket.socket | None:
    """Return the socket that the process manager passed to this very process; None if it passed none."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or environ.get("LISTEN_FDS", "0") == "0":
        return None
    inherited = socket.socket(fileno=FIRST_FD)
    inherited.set_inheritable(False)
    return inherited


def notify_ready(environ: Mapping[str, str], pid: int) -> None:
    """Report to the process manager, if it asked for that, that the program whose main process is `pid` is ready.

    Raises OSError if it asked, and cannot be reached.
    """
    path = environ.get("NOTIFY_SOCKET")
    if not path:
        return
    # A name that begins with @ is in Linux' abstract namespace.
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notice:
        notice.sendto(f"READY=1\nMAINPID={pid}".encode(), address)
