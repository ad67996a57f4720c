"""What an operator may mean by what was typed."""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.keys import NAMESPACE_PATTERN
from ledger.transfers import MOVES

MOVEMENT_NAMES = tuple(move.name for move in MOVES.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """An id, within one namespace where that was typed before it."""

    id: str
    namespace: str | None = None

    @property
    def movements(self) -> list[str]:
        """The movements it may name: in full, or by the capture, refund or dispute alone."""
        return [self.id, *(f"{name}:{self.id}" for name in MOVEMENT_NAMES)]

    def within(self, namespaces: Iterable[str]) -> list[str]:
        """Where to look for it."""
        return [self.namespace] if self.namespace else sorted(namespaces)


def read_wanted(text: str) -> list[Wanted]:
    """What it may mean: `a/b` is `b` in the namespace a, or an id with a slash in it."""
    namespace, slash, rest = text.partition("/")
    if slash and rest and NAMESPACE_PATTERN.fullmatch(namespace):
        return [Wanted(rest, namespace), Wanted(text)]
    return [Wanted(text)]
