"""Asking the reconciler to compare a source at once: it has the credentials, and who asks need not have them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contract.accounts import PostingRulesError
from operations.log import Act, record
from runtime.sources_file import read_setting, read_source_settings
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

REQUESTS = load("reconcile_requests")


class RequestError(ValueError):
    """Nobody can do it. The text is one sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asked for a comparison, when and why. `repair`: what is missing is added to the stream.

    `since`: it begins then, because the oldest missing event is from after that; None: where the last one ended.
    """

    source: str
    at: datetime
    actor: str
    reason: str
    repair: bool
    since: datetime | None

    @property
    def act(self) -> Act:
        """The act that is recorded for what is added."""
        return Act(self.actor, self.reason, "console")


async def ask(connection: "Connection", sources_file: Path, source: str, *, repair: bool, act: Act) -> int:
    """Ask for a comparison, and return the act's number in the operators' log. Raise RequestError."""
    namespace = _namespace(sources_file, source)
    async with connection.transaction():
        row = REQUESTS.bind(
            "ask_for_run", source=source, namespace=namespace, actor=act.actor, reason=act.reason, repair=repair
        )
        if await connection.fetchrow(*row) is None:
            raise RequestError(f"source {source} is compared now; wait for its end")
        return await record(
            connection, act, action="reconcile", subject=f"source:{source}", touched=1,
            details={"asked": True, "repair": repair},
        )  # fmt: skip


async def read_requests(connection: "Connection") -> dict[str, Request]:
    """Return the comparisons that were asked for and have not come to their end, by source."""
    rows = await connection.fetch(REQUESTS["read_requests"])
    return {row["source"]: Request(**row) for row in rows}


async def forget(connection: "Connection", request: Request) -> None:
    """Forget a request that was carried out, unless somebody has asked again since."""
    await connection.execute(*REQUESTS.bind("forget_request", source=request.source, at=request.at))


def _namespace(sources_file: Path, source: str) -> str:
    try:
        if source not in read_setting(sources_file, "reconcile_every"):
            raise RequestError(f"source {source!r} has no reconcile_every, so that no reconciler looks after it")
        return next(each.namespace for each in read_source_settings(sources_file) if each.name == source)
    except PostingRulesError as error:
        raise RequestError(f"{error}") from error
