"""The audit: the invariants of Postgres, and an account of every entry ever added to the stream."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from contract.keys import Keys
from operations.log import LogEnd, read_log_end
from operations.servers import LONG_TIMEOUT_S, Servers
from operations.stream_accounting import CHECKS, EntryCounts, account_for_entries
from sql import load
from sql.audit import INVARIANTS, Finding, audit
from sql.connect import Connection, UnreachableError

LOG_INVARIANT = "operation_out_of_chain"

OPEN_CONFLICTS = "conflict_without_decision"
"""The rule about conflicts that wait for a person. They have a gauge and an alert of their own."""

WAITING = load("waiting")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Every broken rule, and how many rules were checked.

    `redis_problem` says why the stream could not be checked. `entries` is None then, and also if there is no stream, or
    one that cannot be counted. `log_end` was read first, so that all rows up to it were checked.
    """

    findings: list[Finding]
    checked: int
    entries: EntryCounts | None
    redis_problem: str | None
    log_end: LogEnd


@dataclass(frozen=True, slots=True)
class LastAudit:
    """How many rules the last audit found broken, and when it ended; None if there was none."""

    findings: int | None
    finished_at: datetime | None
    installed_at: datetime
    """When the first migration was applied."""


async def read_last_audit(connection: Connection, keys: Keys) -> LastAudit:
    """Return the result that the last audit kept."""
    row = await connection.fetchrow(*WAITING.bind("read_audit", key_prefix=keys.prefix))
    return LastAudit(**row)


async def run_audit(servers: Servers) -> AuditReport:
    """Check Postgres first, then the stream, and keep the result for the workers' metrics; change nothing else.

    Raise UnreachableError if Postgres cannot be reached.
    """
    report = await _audit(servers)
    if report.findings or report.redis_problem is None:
        await _keep(servers, report)
    return report


async def _audit(servers: Servers) -> AuditReport:
    async with servers.postgres(LONG_TIMEOUT_S) as connection:
        log_end = await read_log_end(connection)
        findings = await audit(connection, timeout_s=LONG_TIMEOUT_S)
        try:
            async with servers.redis() as redis:
                entries, more = await account_for_entries(redis, servers.keys, connection, timeout_s=LONG_TIMEOUT_S)
        except UnreachableError as error:
            return AuditReport(findings, len(INVARIANTS), None, str(error), log_end)
    return AuditReport([*findings, *more], len(INVARIANTS) + CHECKS, entries, None, log_end)


async def check_log(connection: Connection) -> Finding | None:
    """Return the rows of the operators' log that were changed, added or removed by hand, or None."""
    findings = await audit(connection, names=[LOG_INVARIANT])
    return findings[0] if findings else None


async def _keep(servers: Servers, report: AuditReport) -> None:
    """Keep the number of broken rules, without that about open conflicts: nobody is woken twice for a decision."""
    broken = [finding for finding in report.findings if finding.name != OPEN_CONFLICTS]
    result = WAITING.bind("keep_audit", key_prefix=servers.keys.prefix, findings=len(broken), rules=report.checked)
    try:
        async with servers.postgres() as connection:
            await connection.execute(*result)
    except UnreachableError as error:
        log.warning("the audit's result is not in the metrics, because it could not be kept", reason=str(error))
