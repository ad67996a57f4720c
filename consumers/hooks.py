"""The named steps of a batch. Production does nothing at them; the fault tests wait, stop and kill there."""

from collections.abc import Callable
from typing import Literal

Hook = Literal["read", "locked", "claimed", "applied", "committed", "acked"]

Hooks = Callable[[Hook], None]
"""Called with the name of each step, as soon as the worker has done it."""


def no_hooks(hook: Hook) -> None:
    """Do nothing."""
