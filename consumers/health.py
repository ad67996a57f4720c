"""Liveness is progress, not a running loop: what the worker says of itself, and the end of one that is stuck."""

import asyncio
import faulthandler
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from consumers.metrics import Metrics
from consumers.metrics_files import FolderBusyError
from consumers.settings import Settings
from consumers.stream_stats import poll_stream_stats
from contract.keys import Keys
from runtime.redis_connection import client
from runtime.tasks import end

EXIT_STUCK = 70
"""The exit code of a worker that ended itself because it made no progress; its supervisor starts another."""

CHECKS_PER_LIMIT = 10
"""How often the watchdog looks within the time that a worker may go without progress."""

HARD_LIMIT_FACTOR = 2
"""After so many times the limit a worker is ended even if it lets no other thread run (exit code 1)."""

STDERR = 2


class Progress:
    """What the worker last got done, and what it waits for. Written by the worker, read by the watchdog's thread."""

    def __init__(self) -> None:
        self._made_at_s = time.monotonic()
        self._last = "started"
        self._reason: str | None = None
        self._count = 0

    def made(self, what: str) -> None:
        """Something was done: a batch, or a read that found nothing."""
        self._made_at_s = time.monotonic()
        self._last = what
        self._reason = None
        self._count += 1

    def waiting_for(self, reason: str) -> None:
        """Redis or Postgres was tried just now, in vain. That counts as life: say it at each attempt, never between."""
        self._made_at_s = time.monotonic()
        self._reason = reason

    @property
    def age_s(self) -> float:
        """Since the last sign of life."""
        return time.monotonic() - self._made_at_s

    @property
    def last(self) -> str:
        """What was done last."""
        return self._last

    @property
    def reason(self) -> str | None:
        """What the worker waits for; None while it works."""
        return self._reason

    @property
    def ready(self) -> bool:
        """Whether it has reached its infrastructure, and still does."""
        return self._count > 0 and self._reason is None


@asynccontextmanager
async def serve(settings: Settings, metrics: Metrics, progress: Progress) -> AsyncIterator[int]:
    """Watches the worker and answers /healthz, /readyz and /metrics meanwhile. Gives the port, 0 where none is set.

    All workers of a host share the port; each answers for itself on /healthz, and for all of them on /metrics.
    """
    with Watchdog(progress, settings.progress_limit_s, metrics.progress):
        if settings.metrics_port == 0:
            yield 0
            return
        runner = web.AppRunner(_app(settings, metrics, progress), access_log=None)
        await runner.setup()
        try:
            await _listen(runner, settings.metrics_host, settings.metrics_port)
            async with _measuring(settings, metrics):
                yield settings.metrics_port
        finally:
            await runner.cleanup()


class Watchdog:
    """A thread that ends the process when it makes no progress, after writing down where every thread stands.

    `report` is told the age of the last progress at each look.
    """

    def __init__(self, progress: Progress, limit_s: float, report: Callable[[float], None]) -> None:
        self._progress = progress
        self._report = report
        self._limit_s = limit_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while not self._stop.is_set():
            # This one ends the process even when a handler's C code lets no thread run, this one included.
            faulthandler.dump_traceback_later(self._limit_s * HARD_LIMIT_FACTOR, exit=True, file=STDERR)
            self._stop.wait(self._limit_s / CHECKS_PER_LIMIT)
            if self._progress.age_s > self._limit_s and not self._stop.is_set():
                _end(self._progress, self._limit_s)
            self._report(self._progress.age_s)


def _end(progress: Progress, limit_s: float) -> None:
    # Nothing that may wait for a lock: the thread that holds it may be the stuck one.
    text = (
        f"No progress for {progress.age_s:.1f} s (PROGRESS_LIMIT_S is {limit_s:g}); the last was: {progress.last}. "
        f"This worker ends itself with code {EXIT_STUCK}; others take over what it had. Where its threads stand:\n"
    )
    os.write(STDERR, text.encode())
    faulthandler.dump_traceback(file=STDERR, all_threads=True)
    os._exit(EXIT_STUCK)


@asynccontextmanager
async def _measuring(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    async with client(settings.redis_url, timeout_s=settings.redis_timeout_s, name="payments-metrics") as redis:
        task = asyncio.create_task(poll_stream_stats(redis, Keys(settings.key_prefix), metrics.stream_stats))
        try:
            yield
        finally:
            await end(task)


def _app(settings: Settings, metrics: Metrics, progress: Progress) -> web.Application:
    def state(healthy: bool) -> web.Response:
        age_s = round(progress.age_s, 3)
        document = {"ok": healthy, "pid": os.getpid(), "age_s": age_s, "last": progress.last, "reason": progress.reason}
        return web.json_response(document, status=200 if healthy else 503)

    async def healthz(_: web.Request) -> web.Response:
        return state(progress.age_s <= settings.progress_limit_s)

    async def readyz(_: web.Request) -> web.Response:
        return state(progress.ready)

    async def scrape(_: web.Request) -> web.Response:
        try:
            text = await asyncio.to_thread(metrics.render)
        except FolderBusyError as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    return app


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port, reuse_port=True).start()
    except OSError as error:
        message = f"{host}:{port} cannot be used for metrics ({error.strerror}); set CONSUMERS_METRICS_PORT to another"
        raise OSError(error.errno, message) from error
