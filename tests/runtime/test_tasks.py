"""A task that is ended does end."""

import asyncio

import pytest

from runtime.tasks import end


async def stubborn(cancellations: int) -> None:
    """Swallow this many cancellations, as `wait_for` of Python 3.11 does with one that arrives with its result."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not cancellations:
                raise
            cancellations -= 1


@pytest.mark.parametrize("cancellations", [0, 1, 2])
async def test_a_task_ends_even_if_it_swallows_a_cancellation(cancellations: int) -> None:
    task = asyncio.create_task(stubborn(cancellations))
    await asyncio.wait([task], timeout=0)
    await end(task)
    assert task.cancelled()


async def test_the_exception_of_a_task_is_raised() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    with pytest.raises(ZeroDivisionError):
        await end(task)


async def test_a_task_that_is_done_is_left_alone() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await asyncio.wait([task])
    await end(task)
