"""The gateway of one process: its parts are put together, started, and stopped in the order that loses nothing."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from redis.exceptions import ResponseError

from contract.keys import Partitions
from gateway.app import AccessLog, make_application, make_operators_routes, make_routes
from gateway.body import largest_body_bytes
from gateway.commit_waiter import CommitWaiter
from gateway.connection import Connection
from gateway.connections import Connections
from gateway.health import Health
from gateway.lane import Lane, make_lanes
from gateway.lifecycle import Lifecycle
from gateway.metrics import NO_SOURCE, Metrics
from gateway.operators import OperatorsPort
from gateway.publisher import Publisher
from gateway.redis_writer import RedisUnavailableError
from gateway.refusal_log import RefusalLog
from gateway.settings import Settings
from gateway.tls import certificate_expires_at
from gateway.tls_transport import COUNTS_AS, TlsTransport
from gateway.webhook import Webhook
from providers.base import Provider
from runtime.durability import Guarantee
from runtime.gc_tuning import tune_gc
from runtime.leaving import Leaving
from runtime.tasks import end
from runtime.tracing import OFF, Tracing

LISTEN_BACKLOG = 4096
"""Connections the kernel holds until they are accepted."""

SEND_BUFFER_BYTES = 16 * 1024
"""What the kernel keeps, twice, of answers that one client has not read. Unset, it is megabytes, and a client that
reads nothing is answered thousands of times before it is held up."""

CUT_OFF_S = 0.1
"""How long a request that was not finished in time still gets."""

NO_TIMEOUT_S = 1e7
"""For aiohttp's timer of idle connections: it does not see the requests that `Connection` collects."""

log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time that stamps `received_at`."""
    return datetime.now(UTC)


class Gateway:
    """Everything one process needs to answer webhooks."""

    def __init__(
        self,
        settings: Settings,
        sources: Mapping[str, Provider],
        metrics: Metrics,
        clock: Callable[[], datetime] = utc_now,
        tracing: Tracing = OFF,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing
        self.durable = asyncio.Event()
        """Set once events could be accepted durably for the first time."""
        self._refusals = RefusalLog(settings.refusals_logged_per_minute)
        self._partitions = Partitions(settings.key_prefix, settings.partitions)
        self._lanes = make_lanes(settings, self._partitions, self._guarantee_changed)
        self.redis, self.commit_reader = self._lanes[0].head, self._lanes[0].reader
        self.publisher = Publisher(self._lanes, self._partitions, settings, metrics, tracing)
        self.commits = CommitWaiter([lane.reader for lane in self._lanes])
        self._lifecycle = Lifecycle(metrics, settings.retry_after_s)
        self._clock = clock
        self._sources = sources
        health = Health([lane.head for lane in self._lanes], metrics, self._lifecycle)
        routes = make_routes(sources, self._make_webhook, health, settings, self._lifecycle)
        self.application = make_application(routes, self._lifecycle, metrics)
        operators_routes = make_operators_routes(sources, health, settings, self._lifecycle)
        self.operators_application = make_application(operators_routes, self._lifecycle, metrics)
        self._operators = OperatorsPort(self.operators_application, settings, self._refused_early)
        self._body_bytes_max = max(largest_body_bytes(each, settings) for each in sources.values())
        options = _http_options(settings, self._body_bytes_max)
        self._runner = web.AppRunner(self.application, shutdown_timeout=CUT_OFF_S, **options)
        self._connections: Connections | None = None
        self._listener: asyncio.Server | None = None
        self._watching: list[asyncio.Task[None]] = []

    async def start(
        self, listening: socket.socket, tls: ssl.SSLContext | None = None, operators: socket.socket | None = None
    ) -> None:
        """Answer on these sockets from now on. Until Redis is there, the answer to webhooks is 503."""
        await self._operators.start(operators)
        await asyncio.gather(*(lane.head.check() for lane in self._lanes))
        self._watching = [asyncio.create_task(self._watch(lane), name="durability") for lane in self._lanes]
        self._watching.append(asyncio.create_task(self._watch_certificates(), name="certificates"))
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner has no server after its set-up")
        if tls is not None and (expires_at := certificate_expires_at(self._settings)):
            self._metrics.certificate(NO_SOURCE, expires_at.timestamp())
        self._connections = connections = Connections(
            server,
            self._settings,
            self._refused_early,
            self._metrics.connections,
            body_bytes_max=self._body_bytes_max,
            connections_max=max(1, self._settings.connections_max // (COUNTS_AS if tls else 1)),
        )
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # accepted sockets inherit it
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            partial(Connection, connections)
            if tls is None
            else lambda: TlsTransport(Connection(connections, is_tls=True), tls),
            sock=listening,
            backlog=LISTEN_BACKLOG,
        )

    async def stop(self) -> bool:
        """Stop accepting, finish the requests under way, then end. False where something had to be cut off."""
        deadline_s = time.monotonic() + self._settings.shutdown_timeout_s
        self._lifecycle.is_draining = True
        self.commits.close()
        if self._listener:
            self._listener.close()
        finished = True
        if self._connections and not await self._connections.drain(deadline_s - time.monotonic()):
            log.error("requests were still under way when SHUTDOWN_TIMEOUT_S was over; they are cut off")
            finished = False
        try:
            async with asyncio.timeout(max(0.0, deadline_s - time.monotonic())):
                await self.publisher.drain()
        except TimeoutError:
            finished = False
        await self._operators.stop()
        await self._runner.cleanup()
        if self._connections:
            self._connections.stop()
        for task in self._watching:
            await end(task)
        for lane in self._lanes:
            await lane.close()
        return finished

    def _make_webhook(self, provider: Provider) -> Webhook:
        return Webhook(
            provider, self._settings, self.publisher, self.commits, self._metrics, self._refusals,
            self._lifecycle, self._clock, self._tracing,
        )  # fmt: skip

    async def _watch(self, lane: Lane) -> None:
        """Check a server regularly, so that a lost guarantee is noticed before the next event. A stuck one delays the
        checks of no other.
        """
        while True:
            await asyncio.sleep(self._settings.durability_check_s)
            await self._look(lane)

    async def _look(self, lane: Lane) -> None:
        await lane.head.check()
        if lane.head.guarantee is None:
            return
        try:
            lengths = await lane.head.read_all([("XLEN", keys.events) for keys in lane.partitions])
        except (RedisUnavailableError, ResponseError) as error:
            log.warning("the stream's length cannot be read now", reason=str(error))
            return
        for keys, length in zip(lane.partitions, lengths, strict=True):
            self.publisher.backlog.saw(keys.partition, length)
        self._metrics.backlog(self.publisher.backlog.entries)

    async def _watch_certificates(self) -> None:
        """Show when the certificates expire that providers sign with, as of their last delivery."""
        while True:
            for name, provider in self._sources.items():
                if provider.certificate_expires_at is not None:
                    self._metrics.certificate(name, provider.certificate_expires_at.timestamp())
            await asyncio.sleep(self._settings.durability_check_s)

    def _guarantee_changed(self, lane: Lane, guarantee: Guarantee | None, reason: str) -> None:
        self._metrics.durable(yes=all(each.head.guarantee is not None for each in self._lanes))
        where = {"partition": lane.partitions[0].partition} if len(self._lanes) > 1 else {}
        if guarantee is None:
            log.error("webhooks are answered 503 until Redis guarantees durability again", reason=reason, **where)
        else:
            self.durable.set()
            log.info(
                "accepted events are durable",
                durability=guarantee.durability, proof=guarantee.confirmation.value, replicas=guarantee.replicas,
                overlooked=guarantee.ignored_weakness, **where,
            )  # fmt: skip

    def _refused_early(self, status: int, reason: str, client: str | None) -> None:
        metrics = self._metrics.of(NO_SOURCE)
        metrics.answered(status)
        metrics.rejected(reason)
        self._refusals.refused(NO_SOURCE, status, reason, "", client)


def _http_options(settings: Settings, body_bytes_max: int) -> dict[str, Any]:
    """Return what aiohttp's protocol is given; `Connection` answers before these limits on lines are reached.

    A body of any size that is allowed fits into `read_bufsize`: aiohttp must not pause in the middle of a request.
    """
    server_log = logging.getLogger("gateway.http")
    server_log.addFilter(_is_no_client_error)
    return {
        "access_log": logging.getLogger("gateway.access") if settings.gateway_access_log else None,
        "access_log_class": AccessLog,
        "auto_decompress": False,
        "keepalive_timeout": NO_TIMEOUT_S,
        "logger": server_log,
        "max_field_size": settings.headers_bytes_max,
        "max_headers": settings.headers_max,
        "max_line_size": settings.headers_bytes_max,
        "read_bufsize": body_bytes_max + 1,
    }


def _is_no_client_error(record: logging.LogRecord) -> bool:
    """Drop aiohttp's lines about malformed HTTP: they quote the client, and `RefusalLog` has logged it already."""
    error = record.exc_info[1] if record.exc_info else None
    return getattr(error, "code", 500) >= 500


async def serve(
    settings: Settings,
    sources: Mapping[str, Provider],
    metrics: Metrics,
    sock: socket.socket,
    tls: ssl.SSLContext | None = None,
    parent_pipe: int | None = None,
    on_ready: Callable[[], None] = lambda: None,
    operators: socket.socket | None = None,
    tracing: Tracing = OFF,
) -> bool:
    """Run until SIGTERM or SIGINT, or until the parent process is gone. False where requests had to be cut off.

    `on_ready` is called once, when events can be accepted durably for the first time.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    leaving = Leaving(stopping.set, settings.shutdown_timeout_s, exit_code=1)
    if parent_pipe is not None:
        loop.add_reader(parent_pipe, leaving.begin)  # nobody writes to it: it becomes readable when it ends
    leaving.on_signals(again_ends=parent_pipe is None)  # the parent ends all processes at once
    gateway = Gateway(settings, sources, metrics, tracing=tracing)
    await gateway.start(sock, tls, operators)
    tune_gc()
    host, port = sock.getsockname()[:2]
    log.info("the gateway listens", host=host, port=port, tls=tls is not None, sources=sorted(sources))
    reporting = asyncio.create_task(_report_ready(gateway, on_ready), name="ready")
    await stopping.wait()
    await end(reporting)
    if parent_pipe is not None:
        loop.remove_reader(parent_pipe)
    log.info("the gateway stops: no new connections, requests under way are finished")
    finished = await gateway.stop()
    log.info("the gateway has stopped", finished=finished)
    return finished


async def _report_ready(gateway: Gateway, on_ready: Callable[[], None]) -> None:
    await gateway.durable.wait()
    try:
        on_ready()
    except OSError as error:
        log.warning("the process manager cannot be reached, to report that the gateway is ready", reason=str(error))
