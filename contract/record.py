"""Immutable records that cost what mutable ones do.

`@record(frozen=True, slots=True)` is `dataclass` to the type checker, which refuses every assignment. At run time the
record is not frozen: each field of a frozen dataclass is set by a call, which made a third of what receiving an event
costs.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    T = TypeVar("T")

    def record(*, frozen: bool, slots: bool) -> Callable[[type[T]], type[T]]:
        """A dataclass with slots; comparable, and hashable where it is called frozen."""
        return dataclass(slots=slots, unsafe_hash=frozen)
