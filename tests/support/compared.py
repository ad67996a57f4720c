"""Sources that were compared with their providers' lists, and what was found, written as the reconciler writes it."""

from datetime import datetime

import asyncpg

COMPARED = """
INSERT INTO reconciliations (
    source, namespace, compared_since, compared_until, complete_until, next_at, succeeded_at, outcome, missing,
    failures, failed_at, failure, refused
)
VALUES ($1, $2, $3::timestamptz - interval '1 day', $3, $3, $4, $3, $5, $6, $7, CASE WHEN $7 > 0 THEN now() END,
        CASE WHEN $7 > 0 THEN 'GET api.example/v1/events answered 503' END, $8)
ON CONFLICT (source) DO UPDATE SET
    complete_until = excluded.complete_until, next_at = excluded.next_at, failures = excluded.failures,
    failed_at = excluded.failed_at, failure = excluded.failure, refused = excluded.refused
"""

FINDING = """
INSERT INTO reconcile_findings (
    source, kind, event_id, namespace, type, resource, occurred_at, difference, recorded, listed, repaired_at, entry_id,
    resolved_at
)
VALUES ($1, $2, $3, $4, 'payment_intent.succeeded', $5, now() - interval '2 hours', $6, $7, $8, $9, $10, $11)
"""


async def was_compared(
    connection: asyncpg.Connection, source: str = "stripe", *, until: datetime, next_at: datetime | None = None,
    namespace: str = "", failures: int = 0, refused: bool = False, outcome: str = "7 listed, 1 missing",
) -> None:  # fmt: skip
    """Record that a source was compared until a time."""
    await connection.execute(
        COMPARED, source, namespace or source, until, next_at or until, outcome, 1, failures, refused
    )  # fmt: skip


async def was_found(
    connection: asyncpg.Connection, event_id: str, kind: str = "missing", *, source: str = "stripe",
    namespace: str = "stripe", payment: str = "pi_1", difference: str = "it is listed, and it never arrived",
    recorded: str = "", listed: str = "", repaired_at: datetime | None = None, entry_id: str | None = None,
    resolved_at: datetime | None = None,
) -> None:  # fmt: skip
    """Record a finding."""
    await connection.execute(
        FINDING, source, kind, event_id, namespace, payment, difference, recorded, listed, repaired_at, entry_id,
        resolved_at,
    )  # fmt: skip
