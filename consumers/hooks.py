"""The named moments of the ritual: no_hooks in production, where the fault tests wait, stop and kill."""

from collections.abc import Callable
from typing import Literal

Hook = Literal["read", "locked", "claimed", "applied", "committed", "acked"]

Hooks = Callable[[Hook], None]


def no_hooks(hook: Hook) -> None:
    """Lets every moment pass."""
