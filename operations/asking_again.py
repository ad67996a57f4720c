"""Asking a provider's API again about events that were decided against, once what was wrong is mended.

Only their rows are made due: a worker asks, and books what the API confirms now.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from operations.log import Act, ActError, record
from operations.servers import LONG_TIMEOUT_S, Servers
from runtime.sources_file import read_posting_rules
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

CONFIRMATIONS = load("confirmations")

EVENTS_AT_ONCE = 500
"""Events of one transaction, and of one row in the operators' log."""


class NobodyAsksError(Exception):
    """No worker asks the API of this source. `asked`: the sources whose APIs are asked."""

    def __init__(self, source: str, asked: Collection[str]) -> None:
        super().__init__(source)
        self.source = source
        self.asked = sorted(asked)


@dataclass(frozen=True, slots=True)
class DecidedAgainst:
    """A source's events, or one of them, that its API did not confirm.

    `askable`: how many can be asked about again, by state. `not_kept`: how many cannot, without their payload.
    """

    source: str
    event_id: str | None
    askable: Mapping[str, int]
    not_kept: int

    @property
    def total(self) -> int:
        """How many can be asked about again."""
        return sum(self.askable.values())


def require_asked(sources_file: Path, source: str) -> None:
    """Raise NobodyAsksError where the source has no `confirm = "api"`, and PostingRulesError."""
    asked = {name for name, rules in read_posting_rules(sources_file).items() if rules.confirm}
    if source not in asked:
        raise NobodyAsksError(source, asked)


async def count_decided_against(connection: "Connection", source: str, event_id: str | None) -> DecidedAgainst:
    """Count what `ask_again` would touch."""
    rows = await connection.fetch(*CONFIRMATIONS.bind("count_decided_against", source=source, event_id=event_id))
    askable = {row["state"]: row["askable"] for row in rows if row["askable"]}
    return DecidedAgainst(source, event_id, askable, sum(row["not_kept"] for row in rows))


async def ask_again(servers: Servers, counted: DecidedAgainst, *, act: Act) -> int:
    """Make as many events due as were counted, and return how many there still were. Raise ActError without a reason.

    The log names them in the transactions that make them due. What is decided against meanwhile is left alone.
    """
    if not act.reason:
        raise ActError("To ask again needs a reason")
    done = 0
    async with servers.postgres(LONG_TIMEOUT_S) as connection:
        while done < counted.total and (part := await _ask_again(connection, counted, counted.total - done, act)):
            done += part
    return done


async def _ask_again(connection: "Connection", counted: DecidedAgainst, limit: int, act: Act) -> int:
    query = CONFIRMATIONS.bind(
        "ask_again", source=counted.source, event_id=counted.event_id, limit=min(limit, EVENTS_AT_ONCE)
    )
    async with connection.transaction(isolation="read_committed"):
        events = sorted(f"{row['namespace']}/{row['event_id']}" for row in await connection.fetch(*query))
        if events:
            await record(
                connection, act, action="confirm", subject=f"source:{counted.source}", touched=len(events),
                details={"events": events},
            )  # fmt: skip
    return len(events)
