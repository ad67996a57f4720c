"""The named moments of the ritual: silent in production, where the fault tests wait, stop and kill."""

from collections.abc import Callable
from typing import Literal

Moment = Literal["read", "locked", "claimed", "applied", "committed", "acked"]

Watch = Callable[[Moment], None]


def silent(moment: Moment) -> None:
    """Lets every moment pass."""
