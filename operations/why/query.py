"""The operator's id, and the namespaces and transfer keys that it can stand for."""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.keys import NAMESPACE_PATTERN
from ledger.transfers import TRANSFER_RULES

TRANSFER_NAMES = tuple(rule.name for rule in TRANSFER_RULES.values())


@dataclass(frozen=True, slots=True)
class IdQuery:
    """An id, within one namespace if the operator named one."""

    id: str
    namespace: str | None = None

    @property
    def transfer_keys(self) -> list[str]:
        """The transfers that the id can name: in full, or by the capture, refund or dispute alone."""
        return [self.id, *(f"{name}:{self.id}" for name in TRANSFER_NAMES)]

    def within(self, namespaces: Iterable[str]) -> list[str]:
        """Return the namespaces to search."""
        return [self.namespace] if self.namespace else sorted(namespaces)


def parse_query(text: str) -> list[IdQuery]:
    """Return every reading of the text: `a/b` is `b` in the namespace a, or an id with a slash in it."""
    namespace, slash, rest = text.partition("/")
    if slash and rest and NAMESPACE_PATTERN.fullmatch(namespace):
        return [IdQuery(rest, namespace), IdQuery(text)]
    return [IdQuery(text)]
