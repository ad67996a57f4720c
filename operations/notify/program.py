"""Running the notifier alone: until SIGTERM, or once."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from operations.notify.notifier import Notifier
from operations.notify.settings import Settings
from operations.servers import Servers
from runtime.leaving import Leaving
from runtime.tasks import end


async def serve(servers: Servers, settings: Settings) -> None:
    """Notify until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    Leaving(stopping.set, 0).on_signals()
    task = asyncio.create_task(Notifier(servers, settings).run())
    await stopping.wait()
    with suppress(asyncio.CancelledError):
        await end(task)


async def notify_once(servers: Servers, settings: Settings) -> int:
    """Look once and send at once, for cron. Return the exit code: 1 if a message was not delivered."""
    sent = await Notifier(servers, settings, at_once=True).look_and_send(datetime.now(UTC))
    return 1 if sent.failed else 0
