"""Running the console until SIGTERM."""

import asyncio
import os
import signal

import structlog
from aiohttp import web

from consumers.settings import Settings
from operations.console.app import make_app
from operations.console.settings import ConsoleSettings
from operations.servers import Servers
from runtime.process_manager import notify_ready

SHUTDOWN_TIMEOUT_S = 2.0

log = structlog.get_logger()


async def serve(settings: Settings, console: ConsoleSettings) -> None:
    """Answer until SIGTERM or SIGINT. Raise OSError if the port cannot be used."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(make_app(Servers(settings), console), access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, console.console_host, console.console_port).start()
        if not console.accounts and not console.proxies:
            log.warning("nobody can sign in: neither CONSOLE_PASSWORD_HASH nor CONSOLE_TRUSTED_PROXIES is set")
        log.info("the console answers", host=console.console_host, port=console.console_port)
        notify_ready(dict(os.environ), os.getpid())
        await stopping.wait()
    finally:
        await runner.cleanup()
