"""A worker's health: its progress, the watchdog that ends a stuck worker, and the HTTP server for probes."""

import asyncio
import errno
import faulthandler
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from consumers.metrics import Metrics
from consumers.metrics_folder import FolderBusyError
from consumers.settings import Settings
from consumers.stream_stats import poll_stream_stats
from consumers.waiting import poll_waiting
from contract.keys import Keys
from runtime.redis_connection import client
from runtime.tasks import end

EXIT_STUCK = 70
"""The exit code of a worker that ended itself because it made no progress; its supervisor starts another."""

CHECKS_PER_LIMIT = 10
"""How often the watchdog checks within the time that a worker may go without progress."""

HARD_LIMIT_FACTOR = 2
"""After this many times the limit a worker is ended even if no other thread can run (exit code 1)."""

STDERR = 2

LISTEN_AGAIN_S = 10.0
"""How soon a metrics port that cannot be used is tried again."""

log = structlog.get_logger()


class Progress:
    """The worker's last progress, and what it waits for. Written by the worker, read by the watchdog's thread.

    Each partition that it works on has one of its own (`of`); then the whole is as old as the oldest of them, and
    waits if one of them does.
    """

    def __init__(self, on_ready: Callable[[], None] = lambda: None) -> None:
        self._on_ready = on_ready
        """Called once, at the first progress. It may raise OSError."""
        self._made_at_s = time.monotonic()
        self._last = "started"
        self._reason: str | None = None
        self._count = 0
        self._parts: dict[int, Progress] = {}

    def of(self, partition: int) -> "Progress":
        """Begin to watch the work on a partition."""
        part = Progress(self._begun)
        self._parts[partition] = part
        return part

    def forget(self, partition: int) -> None:
        """Watch a partition no more: others work on it."""
        if part := self._parts.pop(partition, None):
            self._made_at_s, self._last, self._count = time.monotonic(), part.last, self._count

    def made(self, what: str) -> None:
        """Record progress: a batch, or a read that found nothing."""
        self._made_at_s = time.monotonic()
        self._last = what
        self._reason = None
        self._count += 1
        if self._count == 1:
            self._report_ready()

    def _begun(self) -> None:
        """Note the first progress of a partition."""
        if self._count == 0:
            self._count = 1
            self._report_ready()

    def _report_ready(self) -> None:
        try:
            self._on_ready()
        except OSError as error:
            log.warning("the process manager cannot be reached, to report that this worker is ready", reason=str(error))

    def waiting_for(self, reason: str) -> None:
        """Record a failed attempt to reach Redis or Postgres. Counts as progress; call once per attempt."""
        self._made_at_s = time.monotonic()
        self._reason = reason

    @property
    def age_s(self) -> float:
        """The time since the last progress."""
        parts = list(self._parts.values())
        return max(part.age_s for part in parts) if parts else time.monotonic() - self._made_at_s

    @property
    def last(self) -> str:
        """The last progress; of the partition that has waited longest for one."""
        parts = list(self._parts.values())
        return max(parts, key=lambda part: part.age_s).last if parts else self._last

    @property
    def reason(self) -> str | None:
        """The error the worker waits out; None while it works."""
        return next((part.reason for part in list(self._parts.values()) if part.reason), self._reason)

    @property
    def ready(self) -> bool:
        """Whether the worker has reached Redis and Postgres, and still does."""
        return self._count > 0 and self.reason is None


@asynccontextmanager
async def serve(settings: Settings, metrics: Metrics, progress: Progress) -> AsyncIterator[int]:
    """Watch the worker, and answer /healthz, /readyz and /metrics. Yields the port, 0 where none is set.

    All workers of a host share the port. Each answers /healthz and /readyz for itself, and /metrics for all of them.
    """
    with Watchdog(progress, settings.progress_limit_s, metrics.progress):
        if settings.metrics_port == 0:
            yield 0
            return
        runner = web.AppRunner(_app(settings, metrics, progress), access_log=None)
        await runner.setup()
        try:
            async with _listening(runner, settings.metrics_host, settings.metrics_port), _measuring(settings, metrics):
                yield settings.metrics_port
        finally:
            await runner.cleanup()


class Watchdog:
    """A thread that ends the process when it makes no progress, after writing every thread's traceback.

    `report` is called with the age of the last progress at each check.
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
            # The C library's timer ends the process even when a handler's C code lets no Python thread run.
            faulthandler.dump_traceback_later(self._limit_s * HARD_LIMIT_FACTOR, exit=True, file=STDERR)
            self._stop.wait(self._limit_s / CHECKS_PER_LIMIT)
            if self._progress.age_s > self._limit_s and not self._stop.is_set():
                _end(self._progress, self._limit_s)
            self._report(self._progress.age_s)


def _end(progress: Progress, limit_s: float) -> None:
    # Nothing here may wait for a lock: the stuck thread may hold it.
    text = (
        f"No progress for {progress.age_s:.1f} s (PROGRESS_LIMIT_S is {limit_s:g}); the last was: {progress.last}. "
        f"This worker ends itself with code {EXIT_STUCK}; others take its entries over. Tracebacks of its threads:\n"
    )
    os.write(STDERR, text.encode())
    faulthandler.dump_traceback(file=STDERR, all_threads=True)
    os._exit(EXIT_STUCK)


@asynccontextmanager
async def _measuring(settings: Settings, metrics: Metrics) -> AsyncIterator[None]:
    async with client(settings.redis_url, timeout_s=settings.redis_timeout_s, name="payments-metrics") as redis:
        backlog = poll_stream_stats(redis, Keys(settings.key_prefix), metrics.stream_stats)
        waiting = poll_waiting(settings, metrics.takes_turn, metrics.waiting.show)
        tasks = [asyncio.create_task(each, name="metrics") for each in (backlog, waiting)]
        try:
            yield
        finally:
            for task in tasks:
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


@asynccontextmanager
async def _listening(runner: web.AppRunner, host: str, port: int) -> AsyncIterator[None]:
    """Answer on this port. Where it cannot be used, the worker works without, and tries again until it can."""
    if await _listen(runner, host, port):
        yield
        return
    trying = asyncio.create_task(_listen_later(runner, host, port), name="metrics port")
    try:
        yield
    finally:
        await end(trying)


async def _listen_later(runner: web.AppRunner, host: str, port: int) -> None:
    while True:
        await asyncio.sleep(LISTEN_AGAIN_S)
        if await _listen(runner, host, port):
            log.info("the metrics port can be used now", host=host, port=port)
            return


async def _listen(runner: web.AppRunner, host: str, port: int) -> bool:
    site = web.TCPSite(runner, host, port, reuse_port=True)
    try:
        await site.start()
    except OSError as error:
        await site.stop()
        log.warning(
            "this worker has no /metrics and /healthz: the port cannot be used; it works all the same, and tries the "
            "port again. Set CONSUMERS_METRICS_PORT to another one",
            host=host, port=port, reason=os.strerror(error.errno or errno.EIO), again_s=LISTEN_AGAIN_S,
        )  # fmt: skip
        return False
    return True
