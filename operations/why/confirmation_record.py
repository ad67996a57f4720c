"""What Postgres recorded about the confirmation of an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ConfirmationRecord:
    """A row of `confirmations`: what the provider's API says about an event that no signature proves.

    `reported` and `answered` are the facts of the delivered body and of the API, once it is decided.
    """

    source: str
    state: str
    recorded_at: datetime
    next_at: datetime
    tries: int
    reason: str
    fetched_at: datetime | None
    decided_at: datetime | None
    reported: Sequence[Mapping[str, Any]] = ()
    answered: Sequence[Mapping[str, Any]] = ()
