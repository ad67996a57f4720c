"""The order of tests: what takes long comes first, so that no process of pytest is left with it at the end."""

from collections.abc import Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol, TypeVar


class HasPath(Protocol):
    """What is known of a test here."""

    @property
    def path(self) -> Path:
        """The file that it is in."""


AnyTest = TypeVar("AnyTest", bound=HasPath)

LONG = ("end_to_end", "stack")
"""The folders whose tests start programs and wait for them."""


def begin_with_long(items: Sequence[AnyTest], processes: int) -> list[AnyTest]:
    """Return these tests so that each process, which gets an equal part of them in this order, begins with long ones.

    The tests of one file stay together, for what they share. The processes do not begin in the same folder: stacks that
    are started at the same time wait for each other.
    """
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    long = [tests for tests in files if tests[0].path.parent.name in LONG]
    short = [test for tests in files if tests[0].path.parent.name not in LONG for test in tests]
    ordered: list[AnyTest] = []
    for number in range(processes):
        share = (len(items) - len(ordered)) // (processes - number)
        own = long[number::processes]
        first = len(own) * number // processes
        begin = list(chain(*own[first:], *own[:first]))
        rest = max(0, share - len(begin))
        ordered += begin + short[:rest]
        del short[:rest]
    return ordered + short
