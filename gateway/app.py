"""The gateway of one process: its parts put together, started, and stopped in the order that loses nothing."""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog
from redis.exceptions import ResponseError

from contract.keys import Keys
from gateway.body import BodyLimits
from gateway.commits import CommitWatcher
from gateway.durability import Promise
from gateway.health import Health
from gateway.link import Link, LinkSettings, PublishUnavailableError
from gateway.logs import RefusalLog
from gateway.metrics import NO_SOURCE, Metrics
from gateway.openapi import Documentation
from gateway.processes import STOPS
from gateway.publish import Publisher, PublishSettings
from gateway.routes import Routes
from gateway.server import Server, within_the_connection
from gateway.settings import Settings
from gateway.webhook import Desk, Webhook
from providers.base import Provider

DEFAULT_SOURCE = "default"
LISTEN_BACKLOG = 4096
"""Connections the kernel holds until they are accepted."""

DRAIN_POLL_S = 0.02
"""How often a stopping gateway looks whether requests are still in hand."""

CANCEL_AGAIN_S = 0.5
"""After so long a task of ours that still runs is cancelled again."""

CUT_OFF_S = 0.1
"""What a request that was not finished in time still gets; 0 would mean "for ever" to aiohttp."""

GC_THRESHOLDS = (20_000, 20, 20)
"""Allocations between two looks for reference cycles. A request makes hardly any; Python's own 700 would look at all
requests in hand, again and again."""

log = structlog.get_logger()


def utc_now() -> datetime:
    """The clock that stamps `received_at`."""
    return datetime.now(UTC)


class Gateway:
    """Everything one process needs to answer webhooks."""

    def __init__(
        self,
        settings: Settings,
        sources: Mapping[str, Provider],
        metrics: Metrics,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._refusals = RefusalLog(settings.refusals_logged_per_minute)
        self._keys = Keys(settings.key_prefix)
        self.link = Link(_link_settings(settings), self._state_changed)
        self._reader = _quiet_link(settings)
        self._links = [self.link, *(_quiet_link(settings) for _ in range(settings.publish_exchanges_max - 1))]
        self.publisher = Publisher(self._links, self._keys, _publish_settings(settings), metrics)
        self._commits = CommitWatcher(self._reader)
        self._health = Health(self.link, metrics)
        self._routes = self._make_routes(sources, clock)
        self._server: Server | None = None
        self._listener: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket) -> None:
        """Answer on this socket from now on. Redis need not be there yet: until it is, the answer is 503."""
        await self.link.check()
        self._watching = asyncio.create_task(self._watch(), name="durability")
        settings = self._settings
        self._server = Server(
            self._routes,
            connections_max=settings.connections_max,
            retry_after_s=settings.retry_after_s,
            on_malformed=self._malformed,
            on_error=self._escaped,
            on_connections=self._metrics.connections,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=settings.keepalive_s,
            lingering_time=settings.linger_s,
            max_line_size=settings.header_line_bytes_max,
            max_field_size=settings.header_line_bytes_max,
            max_headers=settings.headers_max,
        )
        loop = asyncio.get_running_loop()
        if sys.version_info < (3, 12):
            loop.set_task_factory(within_the_connection)
        self._listener = await loop.create_server(self._server, sock=listening, backlog=LISTEN_BACKLOG)

    async def stop(self) -> bool:
        """Stop accepting, finish what is in hand, then end. False where something had to be cut off."""
        deadline_s = time.monotonic() + self._settings.shutdown_timeout_s
        self._health.draining = True
        self._commits.close()
        if self._listener:
            self._listener.close()
        finished = await self._finish_requests(deadline_s)
        try:
            async with asyncio.timeout(max(0.0, deadline_s - time.monotonic())):
                await self.publisher.drain()
        except TimeoutError:
            finished = False
        if self._server:
            await self._server.shutdown(timeout=CUT_OFF_S)
        # Until it has ended: in Python 3.11 `wait_for`, which redis-py uses, may swallow a cancellation.
        while self._watching and not self._watching.done():
            self._watching.cancel()
            await asyncio.wait([self._watching], timeout=CANCEL_AGAIN_S)
        for link in (*self._links, self._reader):
            await link.close()
        return finished

    async def _finish_requests(self, deadline_s: float) -> bool:
        """Each look ends the connections that have become idle since the one before."""
        while self._server is not None and self._server.drain():
            if time.monotonic() > deadline_s:
                log.error("requests were still in hand when SHUTDOWN_TIMEOUT_S was over; they are cut off")
                return False
            await asyncio.sleep(DRAIN_POLL_S)
        return True

    def _make_routes(self, sources: Mapping[str, Provider], clock: Callable[[], datetime]) -> Routes:
        settings = self._settings
        desk = Desk(
            keys=self._keys,
            publisher=self.publisher,
            commits=self._commits,
            metrics=self._metrics,
            refusals=self._refusals,
            clock=clock,
            body=BodyLimits(settings.body_bytes_max, settings.body_timeout_s),
            retry_after_s=settings.retry_after_s,
            prefer_wait_s_max=settings.prefer_wait_s_max,
        )
        webhooks = {f"/webhooks/{name}": Webhook(each, desk) for name, each in sources.items()}
        if DEFAULT_SOURCE in sources:
            webhooks["/webhook"] = webhooks[f"/webhooks/{DEFAULT_SOURCE}"]
        challenges = {path: each.challenge for path, each in webhooks.items() if each.challenges}
        pages = Documentation(sources, settings)
        health = self._health
        return Routes(
            get={
                "/healthz": health.healthz,
                "/readyz": health.readyz,
                "/metrics": health.metrics,
                "/openapi.json": pages.openapi,
                "/docs": pages.docs,
                **challenges,
            },
            post=webhooks,
            metrics=self._metrics,
        )

    async def _watch(self) -> None:
        """Asks Redis regularly, so that a promise it no longer keeps is noticed before the next event."""
        while True:
            await asyncio.sleep(self._settings.durability_check_s)
            await self.link.check()
            if self.link.promise is None:
                continue
            try:
                self._metrics.backlog(int(await self.link.ask(("XLEN", self._keys.events))))
            except (PublishUnavailableError, ResponseError) as error:
                log.warning("the stream's length is not known now", reason=str(error))

    def _state_changed(self, promise: Promise | None, reason: str) -> None:
        self._metrics.durable(yes=promise is not None)
        if promise is None:
            log.error("webhooks are answered 503 until Redis can be trusted again", reason=reason)
        else:
            log.info(
                "accepted events are durable",
                durability=promise.durability, proof=promise.method.value, replicas=promise.replicas,
                overlooked=promise.weaknesses,
            )  # fmt: skip

    def _malformed(self, status: int, reason: str, client: str | None) -> None:
        counted = self._metrics.of(NO_SOURCE)
        counted.answered.inc(status)
        counted.rejected.inc(reason)
        self._refusals.refused(NO_SOURCE, status, reason, "", client)

    def _escaped(self, error: BaseException | None) -> None:
        self._metrics.internal_error()
        log.error("a bug: an exception reached the HTTP protocol; the client is asked to retry", exc_info=error)


async def serve(
    settings: Settings,
    sources: Mapping[str, Provider],
    metrics: Metrics,
    sock: socket.socket,
    parent_pipe: int | None = None,
) -> bool:
    """Run until SIGTERM or SIGINT, or until the parent process is gone. False where requests had to be cut off."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    if parent_pipe is not None:
        loop.add_reader(parent_pipe, stopping.set)  # nobody writes to it: it becomes readable when it ends
    for number in STOPS:
        loop.add_signal_handler(number, stopping.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    gateway = Gateway(settings, sources, metrics)
    await gateway.start(sock)
    _spare_the_collector()
    host, port = sock.getsockname()[:2]
    log.info("the gateway listens", host=host, port=port, sources=sorted(sources))
    await stopping.wait()
    if parent_pipe is not None:
        loop.remove_reader(parent_pipe)
    log.info("the gateway stops: no new connections, requests in hand are finished")
    finished = await gateway.stop()
    log.info("the gateway has stopped", finished=finished)
    return finished


def _spare_the_collector() -> None:
    """What was made at the start stays for ever: it need not be looked at with every full collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _link_settings(settings: Settings) -> LinkSettings:
    return LinkSettings(
        url=settings.redis_url.get_secret_value(),
        wanted=settings.durability,
        replicas=settings.replicas,
        timeout_s=settings.redis_timeout_s,
        proof_timeout_s=settings.durability_timeout_s,
    )


def _quiet_link(settings: Settings) -> Link:
    """One beside the first, which alone is asked, and tells, what the server promises."""
    return Link(_link_settings(settings), lambda _promise, _reason: None)


def _publish_settings(settings: Settings) -> PublishSettings:
    return PublishSettings(
        seen_ttl_s=settings.seen_ttl_s,
        backlog_limit=settings.backlog_limit,
        batch_max=settings.publish_batch_max,
        batch_bytes_max=settings.publish_batch_bytes_max,
        queue_max=settings.publish_queue_max,
    )
