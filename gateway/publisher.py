"""Publishing: verified deliveries go into the stream, each once, and are durable before anybody gets an answer.

This is group commit. While exchanges with Redis are under way, deliveries gather; the next exchange carries them all.
A few exchanges run at a time, each on its own connection, so that Redis works on one while its disk finishes another.
Nothing waits on a timer. A sender that hangs up cancels nothing, because an exchange belongs to a task of its own.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import resources
from typing import Any, NamedTuple

import structlog
from redis.exceptions import NoScriptError, ResponseError

from contract.event import FIELD_NAMES, to_values
from contract.keys import Keys, entry_number, is_committed
from gateway.metrics import Metrics
from gateway.redis_writer import RedisUnavailableError, RedisWriter
from gateway.settings import Settings
from gateway.spans import SendSpans
from providers.base import Delivery
from runtime.durability import Durability, Guarantee
from runtime.redis_connection import Command, describe_reply
from runtime.tracing import OFF, Tracing

SCRIPT = resources.files("gateway").joinpath("publisher.lua").read_bytes()
SCRIPT_SHA = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()

log = structlog.get_logger()

NO_SPAN = nullcontext()

ENTRY_BYTES = 512
"""Estimate of an entry's fields other than its body, where a batch is bounded in bytes."""


REDIS_WAS_REWOUND = (
    "Redis does not know an entry that it had confirmed: it was restored from an older copy, is a replica that was "
    "behind, or somebody deleted the stream; what was accepted may be lost. Run `make audit`, and have the providers "
    "send it again"
)


class BacklogFullError(Exception):
    """The stream is as long as BACKLOG_LIMIT allows. The sender should retry later."""


class Receipt(NamedTuple):
    """The durable result of one delivery. `entry_id` is empty where the event is committed already."""

    new: bool
    entry_id: str
    committed: bool
    durability: Durability


class _Queued(NamedTuple):
    """A delivery waiting for an exchange, and the future its sender awaits."""

    marker: str
    values: tuple[str | bytes, ...]
    bytes: int
    receipt: asyncio.Future[Receipt]


class ConfirmedEntry:
    """The highest entry id that was confirmed to this process, and the run id of the server that did.

    A server process that is new to us must know it. One that does not was restored from an older copy, or was a replica
    that was behind.
    """

    def __init__(self) -> None:
        self.entry_id = ""
        self._run_id = ""
        self._number = (0, 0)

    def by_another_server(self, run_id: str) -> bool:
        """Return whether the server with this run id must be asked about the entry, because another one confirmed."""
        return bool(self.entry_id) and run_id != self._run_id

    def update(self, run_id: str, answers: Sequence[bytes]) -> None:
        """Note the ids in a batch's answers; the last one is the highest."""
        self._run_id = run_id
        newest = next((answer[1:].decode() for answer in reversed(answers) if answer[:1] == b"+"), None)
        if newest and (number := entry_number(newest)) > self._number:
            self.entry_id, self._number = newest, number


class Publisher:
    """Writes verified deliveries, and nothing else, to the stream, with one exchange at a time over each connection."""

    def __init__(
        self,
        writers: Sequence[RedisWriter],
        keys: Keys,
        settings: Settings,
        metrics: Metrics,
        on_refused: Callable[[str], None],
        tracing: Tracing = OFF,
    ) -> None:
        """Write over `writers`. `on_refused` is called with the reason where Redis answers and refuses a batch."""
        self._idle = list(reversed(writers))
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._on_refused = on_refused
        self._spans = SendSpans(tracing, keys) if tracing.is_on else None
        self._queue: deque[_Queued] = deque()
        self._publishing: set[asyncio.Task[None]] = set()
        self._confirmed = ConfirmedEntry()

    def publish(self, delivery: Delivery) -> asyncio.Future[Receipt]:
        """Return a future that is done once the event is durable in the stream, or known to have been there before.

        It raises BacklogFullError, or RedisUnavailableError where the event is not known to be durable.
        """
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if len(self._queue) >= self._settings.publish_queue_max:
            waiting = self._settings.publish_queue_max
            receipt.set_exception(RedisUnavailableError(f"{waiting} deliveries already wait for Redis"))
            return receipt
        event = delivery.event
        marker = self._keys.seen(event.namespace, event.event_id)
        self._queue.append(_Queued(marker, to_values(event), len(event.body) + ENTRY_BYTES, receipt))
        if self._idle:
            task = asyncio.create_task(self._publish_all(self._idle.pop()), name="publish")
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)
        return receipt

    async def drain(self) -> None:
        """Return when no delivery waits any more."""
        while self._publishing:
            await asyncio.wait(self._publishing)

    async def _publish_all(self, writer: RedisWriter) -> None:
        try:
            while self._queue:
                batch = self._next_batch()
                self._metrics.waiting(len(self._queue))
                await self._publish_batch(writer, batch)
        finally:
            self._idle.append(writer)

    def _next_batch(self) -> list[_Queued]:
        batch = [self._queue.popleft()]
        size_bytes = batch[0].bytes
        while self._queue and len(batch) < self._settings.publish_batch_max:
            size_bytes += self._queue[0].bytes
            if size_bytes > self._settings.publish_batch_bytes_max:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _publish_batch(self, writer: RedisWriter, batch: list[_Queued]) -> None:
        """Run one exchange. Every sender of the batch gets an answer, whatever happens."""
        started_s = time.monotonic()
        try:
            with self._spans.of([queued.values for queued in batch]) if self._spans else NO_SPAN:
                (backlog, rewound_to, *answers), guarantee = await self._run_script(writer, batch)
            self._metrics.published(len(batch), time.monotonic() - started_s, backlog)
            if rewound_to:
                log.critical(REDIS_WAS_REWOUND, confirmed=self._confirmed.entry_id, last_id=rewound_to.decode())
            self._confirmed.update(guarantee.run_id, answers)
            for queued, answer in zip(batch, answers, strict=True):
                _complete(queued.receipt, answer, guarantee.durability)
        except Exception as error:  # noqa: BLE001 -- not swallowed: each sender gets it
            _fail(batch, error)
        except BaseException:
            _fail([*batch, *self._queue], RedisUnavailableError("the gateway is being stopped"))
            self._queue.clear()
            raise

    async def _run_script(self, writer: RedisWriter, batch: list[_Queued]) -> tuple[list[Any], Guarantee]:
        names = self._keys
        keys = [names.events, names.epoch, names.account, *(queued.marker for queued in batch)]
        values = [value for queued in batch for value in queued.values]

        def call(name: str, script: str | bytes, guarantee: Guarantee) -> Command:
            rewrite = int(guarantee.must_rewrite_duplicates)
            limits = (self._settings.seen_ttl_s, self._settings.backlog_limit, rewrite)
            confirmed = (self._confirmed.entry_id, int(self._confirmed.by_another_server(guarantee.run_id)))
            return [name, script, len(keys), *keys, *limits, *confirmed, 0, len(FIELD_NAMES), *FIELD_NAMES, *values]

        try:
            try:
                return await writer.write(lambda guarantee: call("EVALSHA", SCRIPT_SHA, guarantee))
            except NoScriptError:  # it did not run; EVAL leaves it in the server's cache
                return await writer.write(lambda guarantee: call("EVAL", SCRIPT, guarantee))
        except ResponseError as error:
            reason = f"Redis refuses the event: {describe_reply(error)}"
            self._on_refused(reason)
            raise RedisUnavailableError(reason) from error


def _complete(receipt: asyncio.Future[Receipt], answer: bytes, durability: Durability) -> None:
    """Read one answer of publisher.lua into the sender's future."""
    if receipt.done():  # its sender was cancelled; the event is published all the same
        return
    kind, text = answer[:1], answer[1:]
    if kind == b"!":
        receipt.set_exception(BacklogFullError("the stream is as long as BACKLOG_LIMIT allows"))
        return
    is_new = kind == b"+"
    committed = not is_new and is_committed(text)
    entry_id = "" if committed else text.decode()
    receipt.set_result(Receipt(is_new, entry_id, committed, durability))


def _fail(batch: list[_Queued], error: Exception) -> None:
    for queued in batch:
        if not queued.receipt.done():
            known = isinstance(error, RedisUnavailableError)
            queued.receipt.set_exception(RedisUnavailableError(str(error)) if known else error)
