"""The operators' log: every act that changes something records who did it and why, in its own transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from contract.text import has_refused_character
from sql import load
from sql.connect import Connection, UnreachableError

OPERATIONS = load("operations")

Face = Literal["command", "console"]
"""Where an act was asked for."""

Action = Literal[
    "replay",
    "replay by query",
    "discard",
    "discard by query",
    "resolve",
    "release",
    "release by query",
    "acknowledge",
    "retain",
    "erase",
    "partitions",
    "reconcile",
    "accept",
    "confirm",
]
"""Everything that a person can do."""

ACTOR_CHARS_MAX = 200
REASON_CHARS_MAX = 1000


class ActError(ValueError):
    """Who acts, or why, cannot be recorded. The text is one sentence."""


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, why, and where it was asked for. `reason` is '' if none was given. Raise ActError."""

    actor: str
    reason: str
    face: Face

    def __post_init__(self) -> None:
        if not self.actor.strip():
            raise ActError("Nobody is named who does it")
        for name, text, limit in (("name", self.actor, ACTOR_CHARS_MAX), ("reason", self.reason, REASON_CHARS_MAX)):
            if len(text) > limit:
                raise ActError(f"The {name} has {len(text)} characters, which is more than {limit}")
            if has_refused_character(text):
                raise ActError(f"The {name} has a line break or another control character, or is not UTF-8")


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the log: who did what to `subject`, such as `dead_letter:7` or `payment:acme/pi_1`.

    `touched` counts what was changed, `details` names it. The hash is of all other fields.
    """

    id: int
    acted_at: datetime
    actor: str
    face: Face
    action: str
    subject: str
    reason: str
    touched: int
    details: dict[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class LogEnd:
    """How many rows the log has, and the hash of the last one: a person keeps both where no operator can write."""

    count: int
    last_hash: str


async def record(
    connection: Connection, act: Act, *, action: Action, subject: str, touched: int, details: Mapping[str, object]
) -> int:
    """Write the act's row and return its number. Called in the act's own transaction, as its last statement.

    The row commits with the act or not at all. Until then no other act is recorded, so that nothing may follow that
    waits for a lock. The transaction is READ COMMITTED, so that it sees the row that was committed while it waited.
    """
    row = OPERATIONS.bind(
        "record_operation", actor=act.actor, face=act.face, action=action, subject=subject, reason=act.reason,
        touched=touched, details=json.dumps(details),
    )  # fmt: skip
    number: int = await connection.fetchval(*row)
    return number


async def require_log(connection: Connection) -> None:
    """Raise UnreachableError if this role may not write to the log: an act that reaches beyond Postgres asks first."""
    if not await connection.fetchval(OPERATIONS["may_record"]):
        raise UnreachableError("PostgreSQL does not let this role write to the operators' log: `python -m sql migrate`")


async def list_operations(
    connection: Connection,
    *,
    before: int | None,
    limit: int,
    actor: str | None = None,
    action: str | None = None,
    about: str | None = None,
) -> list[Operation]:
    """Return one page of the log, the newest first: those before this number, or from the end; by actors whose names
    begin so, of one action, or that name `about` (an id of an event or payment, or a part of it), if given."""
    query = OPERATIONS.bind("list_operations", before=before, limit=limit, actor=actor, action=action, about=about)
    rows = await connection.fetch(*query)
    return [Operation(**{**row, "details": json.loads(row["details"])}) for row in rows]


async def read_log_end(connection: Connection) -> LogEnd:
    """Return the number of rows and the last hash; 0 and '' of an empty log."""
    row = await connection.fetchrow(OPERATIONS["read_log_end"])
    return LogEnd(**row) if row else LogEnd(0, "")
