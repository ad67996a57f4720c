"""The two stages of the pipeline: both run in the background, and neither is cancelled with its caller."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from consumers.acks import CommitResult
from consumers.entry import Entry, Unreadable
from consumers.pipeline import AckPipeline, finished
from tests.support.events import contract_event

ENTRY = Entry("1-1", 1, contract_event("evt_1", "pi_1"), {})
COMMITTED = CommitResult(applied=[ENTRY])


class Stages:
    """A prefetch and an ack that wait until they may finish, and then raise `error` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_finish = asyncio.Event()
        self.error = error
        self.acked: list[str] = []
        self.pipeline = AckPipeline(self.prefetch, self.ack)

    async def prefetch(self) -> list[Entry | Unreadable]:
        await self.may_finish.wait()
        if self.error:
            raise self.error
        return [ENTRY]

    async def ack(self, committed: CommitResult, locks: Sequence[str]) -> None:
        await self.may_finish.wait()
        if self.error:
            raise self.error
        self.acked += [*(entry.entry_id for entry in committed.entries), *locks]


async def test_without_a_prefetch_nothing_is_prefetched() -> None:
    pipeline = Stages().pipeline
    assert not pipeline.has_prefetched
    assert await pipeline.prefetched() is None
    await pipeline.wait_for_ack()


async def test_a_prefetched_batch_is_returned_once() -> None:
    stages = Stages()
    stages.may_finish.set()
    stages.pipeline.start_prefetch()
    assert stages.pipeline.has_prefetched
    assert await stages.pipeline.prefetched() == [ENTRY]
    assert await stages.pipeline.prefetched() is None


async def test_an_ack_is_known_by_its_resources_until_it_was_waited_for() -> None:
    stages = Stages()
    stages.pipeline.start_ack(COMMITTED, ["lock"])
    assert stages.pipeline.is_acking({("stripe", "pi_1"), ("stripe", "pi_2")})
    assert not stages.pipeline.is_acking({("stripe", "pi_2")})
    assert stages.acked == []
    stages.may_finish.set()
    await stages.pipeline.wait_for_ack()
    assert stages.acked == ["1-1", "lock"]
    assert not stages.pipeline.is_acking({("stripe", "pi_1")})


async def test_an_ack_is_finished_even_if_the_waiting_task_is_cancelled() -> None:
    stages = Stages()
    stages.pipeline.start_ack(COMMITTED, [])
    waiting = asyncio.create_task(stages.pipeline.wait_for_ack())
    await asyncio.wait({waiting}, timeout=0.01)
    waiting.cancel()
    await asyncio.wait({waiting}, timeout=0.01)
    assert not waiting.done()
    stages.may_finish.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stages.acked == ["1-1"]


async def test_an_error_is_raised_where_the_result_is_awaited() -> None:
    stages = Stages(RedisConnectionError("refused"))
    stages.may_finish.set()
    stages.pipeline.start_ack(COMMITTED, [])
    stages.pipeline.start_prefetch()
    with pytest.raises(RedisConnectionError):
        await stages.pipeline.wait_for_ack()
    with pytest.raises(RedisConnectionError):
        await stages.pipeline.prefetched()


async def test_finishing_ignores_infrastructure_errors_but_no_bug() -> None:
    stages = Stages(RedisConnectionError("refused"))
    stages.may_finish.set()
    stages.pipeline.start_ack(COMMITTED, [])
    stages.pipeline.start_prefetch()
    await stages.pipeline.finish()
    assert not stages.pipeline.has_prefetched
    stages.error = KeyError("a bug")
    stages.pipeline.start_prefetch()
    with pytest.raises(KeyError):
        await stages.pipeline.finish()


async def test_a_cancelled_task_keeps_the_error_of_its_work() -> None:
    """The work's error is the cause of the cancellation, so that it is not lost."""
    stages = Stages(KeyError("a bug"))
    waiting = asyncio.create_task(finished(stages.prefetch()))
    await asyncio.wait({waiting}, timeout=0.01)
    waiting.cancel()
    stages.may_finish.set()
    with pytest.raises(asyncio.CancelledError) as raised:
        await waiting
    assert isinstance(raised.value.__cause__, KeyError)
