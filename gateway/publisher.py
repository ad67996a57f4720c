"""Publishing: verified deliveries into the stream, each once, durable before anybody is told.

This is group commit. While exchanges with Redis are under way, deliveries gather; the next exchange carries them all.
A few may be under way at a time, each on a connection of its own, so that Redis works on one while its disk finishes
another. Nothing waits on a timer, and a sender that hangs up cancels nothing: an exchange belongs to a task of its own.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple, Protocol

from redis.exceptions import NoScriptError, ResponseError

from contract.event import FIELD_NAMES, to_values
from contract.keys import COMMITTED, Keys
from gateway.durability import Promise, Wanted
from gateway.link import Command, Link, PublishUnavailableError
from providers.base import Delivery

SCRIPT = resources.files("gateway").joinpath("publish.lua").read_bytes()
SCRIPT_SHA = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()

ENTRY_BYTES = 512
"""What an entry's other fields are counted as, beside its body, where a batch is bounded in bytes."""


class BacklogFullError(Exception):
    """The stream is as long as BACKLOG_LIMIT allows. The sender should retry later."""


class Receipt(NamedTuple):
    """What became of one delivery, durably. `entry_id` is empty where the marker no longer tells it."""

    new: bool
    entry_id: str
    committed: bool
    durability: Wanted


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """The limits of publishing; each is a setting of the same name."""

    seen_ttl_s: int
    backlog_limit: int
    batch_max: int
    batch_bytes_max: int
    queue_max: int


class PublishMetrics(Protocol):
    """Who hears how publishing goes."""

    def flushed(self, events: int, round_trip_s: float, backlog: int) -> None:
        """One exchange brought `events` events; the stream had `backlog` entries before it."""

    def waiting(self, events: int) -> None:
        """So many deliveries wait for the next exchange."""


class _Waiting(NamedTuple):
    """A delivery on its way, and the future its sender waits on."""

    marker: str
    values: tuple[str | bytes, ...]
    bytes: int
    future: asyncio.Future[Receipt]


class Publisher:
    """Takes verified deliveries, and nothing else, to the stream, with one exchange at a time over each link."""

    def __init__(
        self, links: Sequence[Link], keys: Keys, settings: PublishSettings, metrics: PublishMetrics
    ) -> None:  # fmt: skip
        self._idle = list(reversed(links))
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._flushing: set[asyncio.Task[None]] = set()

    def publish(self, delivery: Delivery) -> asyncio.Future[Receipt]:
        """Done once the event is durable in the stream, or known to have been there before.

        It raises BacklogFullError, or PublishUnavailableError where the event is not known to be durable.
        """
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if len(self._queue) >= self._settings.queue_max:
            error = PublishUnavailableError(f"{self._settings.queue_max} deliveries already wait for Redis")
            future.set_exception(error)
            return future
        event = delivery.event
        marker = self._keys.seen(event.namespace, event.event_id)
        self._queue.append(_Waiting(marker, to_values(event), len(event.body) + ENTRY_BYTES, future))
        if self._idle:
            task = asyncio.create_task(self._flush_all(self._idle.pop()), name="publish")
            self._flushing.add(task)
            task.add_done_callback(self._flushing.discard)
        return future

    async def drain(self) -> None:
        """Return when nothing waits any more."""
        while self._flushing:
            await asyncio.wait(self._flushing)

    async def _flush_all(self, link: Link) -> None:
        try:
            while self._queue:
                batch = self._next_batch()
                self._metrics.waiting(len(self._queue))
                await self._flush(link, batch)
        finally:
            self._idle.append(link)

    def _next_batch(self) -> list[_Waiting]:
        batch = [self._queue.popleft()]
        size_bytes = batch[0].bytes
        while self._queue and len(batch) < self._settings.batch_max:
            size_bytes += self._queue[0].bytes
            if size_bytes > self._settings.batch_bytes_max:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _flush(self, link: Link, batch: list[_Waiting]) -> None:
        """One exchange. Whatever happens in it, every sender of the batch gets an answer."""
        started_s = time.monotonic()
        try:
            (backlog, *answers), promise = await self._run_script(link, batch)
            self._metrics.flushed(len(batch), time.monotonic() - started_s, backlog)
            for waiting, answer in zip(batch, answers, strict=True):
                _settle(waiting.future, answer, promise.durability)
        except Exception as error:  # noqa: BLE001 -- not swallowed: each sender gets it
            _fail(batch, error)
        except BaseException:
            _fail([*batch, *self._queue], PublishUnavailableError("the gateway is being stopped"))
            self._queue.clear()
            raise

    async def _run_script(self, link: Link, batch: list[_Waiting]) -> tuple[list[Any], Promise]:
        keys = [self._keys.events, self._keys.epoch, *(waiting.marker for waiting in batch)]
        values = [value for waiting in batch for value in waiting.values]

        def call(name: str, script: str | bytes, promise: Promise) -> Command:
            touch = int(promise.touches_duplicates)
            settings = (self._settings.seen_ttl_s, self._settings.backlog_limit, touch)
            return [name, script, len(keys), *keys, *settings, len(FIELD_NAMES), *FIELD_NAMES, *values]

        try:
            try:
                return await link.durable(lambda promise: call("EVALSHA", SCRIPT_SHA, promise))
            except NoScriptError:  # it did not run; EVAL leaves it in the server's cache
                return await link.durable(lambda promise: call("EVAL", SCRIPT, promise))
        except ResponseError as error:
            raise PublishUnavailableError(f"Redis refused the write: {error}") from error


def _settle(future: asyncio.Future[Receipt], answer: bytes, durability: Wanted) -> None:
    """Reads one answer of publish.lua."""
    if future.done():  # its sender was cancelled; the event is published all the same
        return
    kind, text = answer[:1], answer[1:]
    if kind == b"!":
        future.set_exception(BacklogFullError("the stream is as long as BACKLOG_LIMIT allows"))
        return
    committed = text == COMMITTED
    entry_id = "" if committed else text.decode()
    future.set_result(Receipt(kind == b"+", entry_id, committed, durability))


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.future.done():
            known = isinstance(error, PublishUnavailableError)
            waiting.future.set_exception(PublishUnavailableError(str(error)) if known else error)
