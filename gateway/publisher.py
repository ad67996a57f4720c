"""Publishing: verified deliveries go into the stream, each once, and are durable before anybody gets an answer.

This is group commit. While exchanges with Redis are under way, deliveries gather; the next exchange carries them all.
A few exchanges run at a time, each on its own connection, so that Redis works on one while its disk finishes another.
Nothing waits on a timer. A sender that hangs up cancels nothing, because an exchange belongs to a task of its own.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import resources
from typing import Any

import structlog
from redis.exceptions import NoScriptError, ResponseError

from contract.event import FIELD_NAMES, to_values
from contract.keys import NUMBERS_OF_PARTITION, Keys, Partitions, entry_number, is_committed
from gateway.backlog import Backlog
from gateway.lane import Lane, Queued, Receipt
from gateway.metrics import Metrics
from gateway.redis_writer import RedisUnavailableError, RedisWriter
from gateway.settings import Settings
from gateway.spans import SendSpans
from providers.base import Delivery
from runtime.durability import Durability, Guarantee
from runtime.redis_wire import Command, describe_reply
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


_Part = tuple[Keys, list[Queued]]
"""The deliveries of a batch that go into one partition."""


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
        lanes: Sequence[Lane],
        partitions: Partitions,
        settings: Settings,
        metrics: Metrics,
        tracing: Tracing = OFF,
    ) -> None:
        """Write over `lanes`: one to the server of all these partitions, or one to the server of each."""
        self._lanes = lanes
        self._partitions = partitions
        self._settings = settings
        self._metrics = metrics
        self._spans = SendSpans(tracing, partitions) if tracing.is_on else None
        self._publishing: set[asyncio.Task[None]] = set()
        self._confirmed = [ConfirmedEntry() for _ in partitions.all]
        self.backlog = Backlog(len(partitions.all), settings.backlog_limit)
        """What waits in the streams, as far as it is known here."""

    def publish(self, delivery: Delivery) -> asyncio.Future[Receipt]:
        """Return a future that is done once the event is durable in the stream, or known to have been there before.

        It raises BacklogFullError, or RedisUnavailableError where the event is not known to be durable.
        """
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if sum(len(lane.queue) for lane in self._lanes) >= self._settings.publish_queue_max:
            waiting = self._settings.publish_queue_max
            receipt.set_exception(RedisUnavailableError(f"{waiting} deliveries already wait for Redis"))
            return receipt
        event = delivery.event
        keys = self._partitions.keys_of(event.namespace, event.resource)
        marker = keys.seen(event.namespace, event.event_id)
        lane = self._lanes[keys.partition % len(self._lanes)]
        lane.queue.append(Queued(keys, marker, to_values(event), len(event.body) + ENTRY_BYTES, receipt))
        if lane.idle:
            task = asyncio.create_task(self._publish_all(lane, lane.idle.pop()), name="publish")
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)
        return receipt

    async def drain(self) -> None:
        """Return when no delivery waits any more."""
        while self._publishing:
            await asyncio.wait(self._publishing)

    async def _publish_all(self, lane: Lane, writer: RedisWriter) -> None:
        try:
            while lane.queue:
                batch = self._next_batch(lane.queue)
                self._metrics.waiting(sum(len(each.queue) for each in self._lanes))
                await self._publish_batch(lane, writer, batch)
        finally:
            lane.idle.append(writer)

    def _next_batch(self, queue: deque[Queued]) -> list[Queued]:
        batch = [queue.popleft()]
        size_bytes = batch[0].bytes
        while queue and len(batch) < self._settings.publish_batch_max:
            size_bytes += queue[0].bytes
            if size_bytes > self._settings.publish_batch_bytes_max:
                break
            batch.append(queue.popleft())
        return batch

    async def _publish_batch(self, lane: Lane, writer: RedisWriter, batch: list[Queued]) -> None:
        """Run one exchange. Every sender of the batch gets an answer, whatever happens."""
        started_s = time.monotonic()
        try:
            parts = _by_partition(batch)
            with self._spans.of([queued.values for queued in batch]) if self._spans else NO_SPAN:
                replies, guarantee = await self._run_script(lane, writer, parts)
            duration_s, backlog = time.monotonic() - started_s, self.backlog.entries
            for (keys, queued), reply in zip(parts, replies, strict=True):
                backlog = self._published(keys, queued, reply, guarantee)
            self._metrics.published(len(batch), duration_s, backlog)
        except Exception as error:  # noqa: BLE001 -- not swallowed: each sender gets it
            _fail(batch, error)
        except BaseException:
            _fail([*batch, *lane.queue], RedisUnavailableError("the gateway is being stopped"))
            lane.queue.clear()
            raise

    def _published(self, keys: Keys, part: Sequence[Queued], reply: list[Any], guarantee: Guarantee) -> int:
        """Answer the senders of one partition's part of a batch. Return what waited in all partitions before it."""
        length, rewound_to, *answers = reply
        confirmed = self._confirmed[keys.partition]
        if rewound_to:
            log.critical(REDIS_WAS_REWOUND, confirmed=confirmed.entry_id, last_id=rewound_to.decode())
        confirmed.update(guarantee.run_id, answers)
        self.backlog.saw(keys.partition, length)
        backlog = self.backlog.entries
        self.backlog.saw(keys.partition, length + sum(answer[:1] == b"+" for answer in answers))
        for queued, answer in zip(part, answers, strict=True):
            _complete(queued.receipt, answer, guarantee.durability)
        return backlog

    async def _run_script(self, lane: Lane, writer: RedisWriter, parts: Sequence[_Part]) -> tuple[list[Any], Guarantee]:
        """Run one script call for each partition, all in one exchange. A call that did not run is made once more."""

        def calls(guarantee: Guarantee) -> list[Command]:
            return [self._call("EVALSHA", SCRIPT_SHA, *part, guarantee) for part in parts]

        try:
            replies, guarantee = await writer.write(calls)
            again = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if again:
                left = [parts[place] for place in again]  # EVAL leaves the script in the server's cache
                more, guarantee = await writer.write(
                    lambda now: [self._call("EVAL", SCRIPT, *part, now) for part in left]
                )  # fmt: skip
                for place, reply in zip(again, more, strict=True):
                    replies[place] = reply
        except ResponseError as error:
            reason = f"Redis refuses the event: {describe_reply(error)}"
            lane.refused(reason)
            raise RedisUnavailableError(reason) from error
        return replies, guarantee

    def _call(
        self, name: str, script: str | bytes, keys: Keys, part: Sequence[Queued], guarantee: Guarantee
    ) -> Command:
        names = [keys.events, keys.epoch, keys.account, *(queued.marker for queued in part)]
        values = [value for queued in part for value in queued.values]
        partition, confirmed = keys.partition, self._confirmed[keys.partition]
        limits = (
            self._settings.seen_ttl_s, self.backlog.limit_of(partition), int(guarantee.must_rewrite_duplicates),
            confirmed.entry_id, int(confirmed.by_another_server(guarantee.run_id)), partition * NUMBERS_OF_PARTITION,
        )  # fmt: skip
        return [name, script, len(names), *names, *limits, len(FIELD_NAMES), *FIELD_NAMES, *values]


def _by_partition(batch: list[Queued]) -> list[_Part]:
    """Split a batch into the parts of its partitions; the order within each is kept."""
    parts: dict[int, _Part] = {}
    for queued in batch:
        parts.setdefault(queued.keys.partition, (queued.keys, []))[1].append(queued)
    return list(parts.values())


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


def _fail(batch: list[Queued], error: Exception) -> None:
    for queued in batch:
        if not queued.receipt.done():
            known = isinstance(error, RedisUnavailableError)
            queued.receipt.set_exception(RedisUnavailableError(str(error)) if known else error)
