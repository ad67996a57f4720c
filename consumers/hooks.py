"""The named steps of a worker. Production does nothing at them; the fault tests wait, stop and kill there."""

from collections.abc import Callable
from typing import Literal

Hook = Literal["read", "locked", "claimed", "applied", "committed", "acked"]
"""The steps of a batch."""

AskHook = Literal["fetched", "confirmed"]
"""The steps of asking an API about an event: it has answered, and what it says is committed."""

Hooks = Callable[[Hook], None]
"""Called with the name of each step, as soon as the worker has done it."""

AskHooks = Callable[[AskHook], None]

AllHooks = Callable[[Hook | AskHook], None]


def no_hooks(hook: Hook | AskHook) -> None:
    """Do nothing."""
