"""A person accepts what a comparison found: an event that stays missing, extra or different."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operations.log import Act, record, require_log
from operations.reconcile.store import move_complete_until
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

RECONCILE = load("reconcile")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that was open."""

    kind: str
    namespace: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What was accepted, and the act's number in the operators' log; None if there was nothing."""

    findings: list[Accepted]
    operation: int | None


async def accept(
    connection: "Connection", source: str, event_ids: Sequence[str] | None, *, act: Act
) -> Acceptance:  # fmt: skip
    """Close the open findings of a source about these events, or all of them. No repair adds what is missing then."""
    async with connection.transaction(isolation="read_committed"):
        await require_log(connection)
        query = RECONCILE.bind("accept_findings", source=source, event_ids=event_ids)
        found = [Accepted(**row) for row in await connection.fetch(*query)]
        if not found:
            return Acceptance([], None)
        await move_complete_until(connection, source)
        number = await record(
            connection, act, action="accept", subject=f"source:{source}", touched=len(found),
            details={"events": [f"{each.namespace}/{each.event_id}" for each in found]},
        )  # fmt: skip
    return Acceptance(found, number)
