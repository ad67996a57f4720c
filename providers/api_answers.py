"""Answers of an API that several questions share, so that one object is fetched once for all that need it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.api_client import Answer

ANSWERS_MAX = 128
"""Answers that are kept; the oldest are forgotten."""

ANSWER_BYTES_MAX = 256 * 1024
"""The largest answer that is kept once it is there."""

SINCE_S: ContextVar[float | None] = ContextVar("answers_since_s", default=None)
"""The time of the event loop from which on an answer must have been asked for. None: each question is asked."""


class RecentAnswers:
    """The answers to the latest questions, also those that are still being asked."""

    def __init__(self, answers_max: int = ANSWERS_MAX) -> None:
        self._answers_max = answers_max
        self._known: OrderedDict[Hashable, tuple[float, asyncio.Task[Answer]]] = OrderedDict()
        self._asking: set[asyncio.Task[Answer]] = set()

    async def get(self, question: Hashable, ask: Callable[[], Coroutine[Any, Any, "Answer"]]) -> "Answer":
        """Return the answer to a question: one that was asked for since SINCE_S, or a new one. Raise what `ask` raises.

        One that waits for it may be cancelled without a loss for the others.
        """
        since_s, known = SINCE_S.get(), self._known.get(question)
        if since_s is None:
            return await ask()
        if known is not None and known[0] >= since_s:
            return await asyncio.shield(known[1])
        task = asyncio.create_task(ask())
        self._asking.add(task)
        task.add_done_callback(partial(self._answered, question))
        self._known[question] = (asyncio.get_running_loop().time(), task)
        self._known.move_to_end(question)
        if len(self._known) > self._answers_max:
            self._known.popitem(last=False)
        return await asyncio.shield(task)

    def close(self) -> None:
        """Forget all, and ask no more."""
        self._known.clear()
        for task in list(self._asking):
            task.cancel()

    def _answered(self, question: Hashable, task: "asyncio.Task[Answer]") -> None:
        """Keep an answer unless it is large; forget an error, which nobody may be left to wait for."""
        self._asking.discard(task)
        is_kept = not task.cancelled() and task.exception() is None and len(task.result().body) <= ANSWER_BYTES_MAX
        if not is_kept and self._known.get(question, (0.0, None))[1] is task:
            del self._known[question]
