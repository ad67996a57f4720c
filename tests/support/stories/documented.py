"""Stories that providers document, as the bodies of their events, and the rows that any order of them must give.

The shapes are reduced to the fields that are read. Their sources are named in docs/providers/ and in the extractors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Payment = tuple[str, int, int, int]
"""Status, captured, refunded, disputed."""

Balances = Mapping[tuple[str, str], int]
"""By account and currency. The provider's accounts are left out, and so is what is 0."""


@dataclass(frozen=True, slots=True)
class Documented:
    """One story. `transfers` are the names, amounts and currencies of all that is booked."""

    provider: str
    bodies: list[dict[str, Any]]
    payments: Mapping[str, Payment]
    transfers: Mapping[str, tuple[int, str]]
    balances: Balances = field(default_factory=dict)
