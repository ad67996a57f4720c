"""Open dead letters, grouped by source and by what their reasons have in common."""

from dataclasses import dataclass
from datetime import datetime

from operations.dead_letters import DEAD_LETTERS, DeadLetterSummary
from sql.connect import Connection

GROUPS_MAX = 50
GROUPED_MAX = 10_000
"""Dead letters that are grouped, the oldest first. Shortening their reasons takes about 0.2 s."""

ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Group:
    """What the dead letters of a group share. `reason` has `…` for each word with a digit or an @ in it."""

    source: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class GroupCount:
    """The dead letters of a group."""

    group: Group
    dead_letters: int
    oldest_at: datetime
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class Groups:
    """The largest groups. `open`: all open dead letters; `grouped`: those that were read; `groups`: all of these."""

    counts: list[GroupCount]
    groups: int
    grouped: int
    open: int


async def group_dead_letters(
    connection: Connection, *, limit: int = GROUPS_MAX, rows_max: int = GROUPED_MAX
) -> Groups:  # fmt: skip
    """Return the largest groups of open dead letters."""
    total = await connection.fetchval(DEAD_LETTERS["count_open_dead_letters"])
    rows = await connection.fetch(*DEAD_LETTERS.bind("group_open_dead_letters", limit=limit, rows_max=rows_max))
    counts = [
        GroupCount(Group(row["source"], row["reason_group"]), row["dead_letters"], row["oldest_at"], row["newest_at"])
        for row in rows
    ]
    return Groups(counts, rows[0]["groups"] if rows else 0, rows[0]["read"] if rows else 0, total)


async def list_group(
    connection: Connection, group: Group | None, *, limit: int, after: int = 0, up_to: int = ID_MAX
) -> list[DeadLetterSummary]:
    """Return open dead letters of a group, or of all, the oldest first: those numbered above `after`, to `up_to`."""
    query = DEAD_LETTERS.bind(
        "list_dead_letters_of_group",
        after=after,
        up_to=up_to,
        source=group.source if group else None,
        reason_group=group.reason if group else None,
        limit=limit,
    )
    return [DeadLetterSummary(**row) for row in await connection.fetch(*query)]
