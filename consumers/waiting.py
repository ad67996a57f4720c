"""What waits for a person in Postgres, and whether Postgres answers: read now and then, by one worker of a host."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import structlog

from consumers.maintenance import STEPS
from consumers.maintenance.steps import MAINTENANCE
from consumers.reconcile_gauges import Compared, read_compared
from consumers.retry import describe
from consumers.settings import Settings
from sql import load
from sql.connect import UnreachableError, connect

EVERY_S = 15.0
"""How often the workers of a host together ask Postgres."""

COUNTED_MAX = 100_000
"""Where a count ends: more than this is an incident of its own, and counting on would cost more than it says."""

CONFIRMATIONS = load("confirmations")
WAITING = load("waiting")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open dead letters, open conflicts, facts on hold by reason, restores that nobody has acknowledged; the audit.

    `audit_findings` and `audited_at_s` (Unix time) are None before the first audit. `maintained_at_s`: when each step
    of the daily maintenance was done last. `oldest_payload_s`: when the oldest month with payloads begins, or None.
    `compared`: how completely has arrived what providers list.
    `to_confirm`: by source, how many events its provider's API is to be asked about, and the age of the oldest.
    """

    dead_letters: int
    conflicts: int
    on_hold: dict[str, int]
    restores: int
    audit_findings: int | None
    audited_at_s: float | None
    maintained_at_s: dict[str, float]
    oldest_payload_s: float | None
    compared: list[Compared]
    to_confirm: dict[str, tuple[int, float]] = field(default_factory=dict)


async def read_waiting(connection: "asyncpg.Connection[Any]", key_prefix: str) -> Waiting:
    """Read it now. Raises asyncpg.PostgresError, also where a migration is due."""
    row = await connection.fetchrow(*WAITING.bind("count_waiting", key_prefix=key_prefix, limit=COUNTED_MAX))
    audit = await connection.fetchrow(*WAITING.bind("read_audit", key_prefix=key_prefix))
    on_hold = {"unsigned": row["unsigned"], "conflict": row["by_conflict"]}
    audited_at_s = audit["finished_at"].timestamp() if audit["finished_at"] else None
    steps = await connection.fetch(*MAINTENANCE.bind("read_maintenance", steps=[step.name for step in STEPS]))
    oldest = await connection.fetchval(MAINTENANCE["read_oldest_payload"])
    due = await connection.fetch(*CONFIRMATIONS.bind("count_due", limit=COUNTED_MAX))
    return Waiting(
        row["dead_letters"], row["conflicts"], on_hold, row["restores"], audit["findings"], audited_at_s,
        {step["step"]: step["succeeded_at"].timestamp() for step in steps}, oldest.timestamp() if oldest else None,
        await read_compared(connection),
        {each["source"]: (each["events"], each["oldest_s"]) for each in due},
    )  # fmt: skip


async def poll_waiting(
    settings: Settings, takes_turn: Callable[[float], bool], report: Callable[[Waiting | None], None]
) -> None:
    """Report it until cancelled, each time this worker takes the turn; None while Postgres does not answer."""
    while True:
        if takes_turn(EVERY_S):
            report(await _try_to_read(settings))
        await asyncio.sleep(EVERY_S * random.uniform(0.9, 1.1))  # noqa: S311 - so that workers do not ask in step


async def _try_to_read(settings: Settings) -> Waiting | None:
    url = settings.database_url.get_secret_value()
    try:
        async with asyncio.timeout(settings.acquire_timeout_s + settings.statement_timeout_s):
            async with connect(
                url, timeout_s=settings.acquire_timeout_s, pooler=settings.database_pooler
            ) as connection:
                return await read_waiting(connection, settings.key_prefix)
    except (OSError, TimeoutError, UnreachableError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.warning("what waits for a person could not be counted; it is tried again", reason=describe(error),
                    again_s=EVERY_S)  # fmt: skip
        return None
