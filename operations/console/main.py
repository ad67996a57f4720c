"""Running the console until SIGTERM, and the hash of a password for it."""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import structlog
from aiohttp import web

from consumers.settings import Settings
from operations.console.access import PASSWORD_CHARACTERS_MAX, PASSWORD_CHARACTERS_MIN, hash_password
from operations.console.app import make_app
from operations.console.connections import KEEPALIVE_S
from operations.console.settings import Settings as ConsoleSettings
from operations.console.site import SITE
from operations.notify.notifier import Notifier
from operations.servers import Servers
from runtime.command_line import fail
from runtime.leaving import Leaving
from runtime.settings import SETTINGS_EXIT_CODE
from runtime.tasks import end

SHUTDOWN_TIMEOUT_S = 2.0

log = structlog.get_logger()


async def serve(
    settings: Settings,
    console: ConsoleSettings,
    listening: socket.socket,
    on_ready: Callable[[], object],
    notifier: Notifier | None = None,
) -> None:
    """Answer on this socket, and notify, until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    Leaving(stopping.set, SHUTDOWN_TIMEOUT_S).on_signals()
    app = make_app(Servers(settings), console)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,  # a form of 64 KiB would become 64 MB before its size is known
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )
    await runner.setup()
    notifying = asyncio.create_task(notifier.run()) if notifier else None
    try:
        async with app[SITE].connections.answering(runner, listening):
            if not console.accounts and not console.proxies:
                log.warning("nobody can sign in: neither CONSOLE_PASSWORD_HASH nor CONSOLE_TRUSTED_PROXIES is set")
            log.info("the console answers", host=console.console_host, port=console.console_port)
            on_ready()
            await stopping.wait()
    finally:
        await runner.cleanup()
        if notifying:
            with suppress(asyncio.CancelledError):
                await end(notifying)


def listen(console: ConsoleSettings) -> socket.socket:
    """Return a socket that listens where the settings say. Raise OSError."""
    host, port = console.console_host, console.console_port
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family)


def print_hash(password: str) -> int:
    """Print the hash of a password, and return the exit code."""
    if not PASSWORD_CHARACTERS_MIN <= len(password) <= PASSWORD_CHARACTERS_MAX:
        return fail(
            f"A password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters, and is typed the same "
            "twice; no hash was made.",
            SETTINGS_EXIT_CODE,
        )
    sys.stdout.write(f"{hash_password(password)}\n")
    return 0
