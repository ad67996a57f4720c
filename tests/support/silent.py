"""A server that is dead as a machine is that is off: nothing answers, so that connecting to it hangs."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

DEAD_HOST = "127.0.0.2"

_CONNECTIONS = 8
"""More than a listening socket takes that accepts none: what comes after gets no answer."""


@contextmanager
def silent_server(port: int) -> Iterator[None]:
    """Let connections to this port of DEAD_HOST hang."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((DEAD_HOST, port))
        listening.listen(0)
        for _ in range(_CONNECTIONS):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex((DEAD_HOST, port))
        yield
