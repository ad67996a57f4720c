"""Work before a signature is proven that costs more than the check of a short body: one thread of its source does it.

Whatever a stranger sends, the event loop then answers other sources meanwhile. The work itself stays small, because a
thread of Python holds the interpreter while one call lasts: every caller limits what it does per byte.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from providers.base import UnavailableError

ON_LOOP_BYTES_MAX = 4096
"""The longest body that is taken apart on the event loop before its signature is proven. Genuine ones are shorter."""

WAITING_MAX = 256
"""Requests of one source that wait for its thread or are in it; the sender of another one is asked to retry."""

ParametersT = ParamSpec("ParametersT")
ResultT = TypeVar("ResultT")


class OffLoop:
    """The thread of one source. It is started by the first request that needs it."""

    def __init__(self, source: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"verify-{source}")
        self._waiting = 0

    async def run(
        self, function: Callable[ParametersT, ResultT], *args: ParametersT.args, **kwargs: ParametersT.kwargs
    ) -> ResultT:
        """Return what the function returns. Raise what it raises; UnavailableError where too many wait already."""
        if self._waiting >= WAITING_MAX:
            raise UnavailableError(f"{WAITING_MAX} requests of this source wait for the check of their signatures")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))
        finally:
            self._waiting -= 1
