"""The audit: the invariants of Postgres, and an account of every entry ever added to the stream."""

from dataclasses import dataclass

from operations.log import LogEnd, read_log_end
from operations.servers import LONG_TIMEOUT_S, Servers
from operations.stream_accounting import CHECKS, EntryCounts, account_for_entries
from sql.audit import INVARIANTS, Finding, audit
from sql.connect import Connection, UnreachableError

LOG_INVARIANT = "operation_out_of_chain"


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


async def run_audit(servers: Servers) -> AuditReport:
    """Check Postgres first, then the stream. Changes nothing. Raise UnreachableError if Postgres cannot be reached."""
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
