"""What waits for a person now, of every kind: what the console's first page shows, and what does not answer."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from consumers.stream_stats import read_all_stats
from operations.audit import LastAudit, read_last_audit
from operations.gateway_metrics import gateway_lives
from operations.notify.kinds import GATEWAY, NOTHING, OLDEST, POSTGRES, REDIS, Found
from operations.notify.settings import Settings
from operations.overview import COUNTED_MAX, Oldest, Waiting, count_waiting, read_oldest
from operations.reconcile.store import Reconciliation, read_reconciliations
from operations.servers import Servers
from sql.connect import UnreachableError

FAILURES_MIN = 3
"""Comparisons that fail in a row before a message says so: a provider's API may be down for a while."""

Seen = dict[str, Found]
"""What was found, by kind. A kind that cannot be known now, because a server does not answer, is not in it."""


async def look(servers: Servers, settings: Settings, now: datetime) -> Seen:
    """Ask Postgres, Redis and the gateway, each even if another one cannot be reached."""
    parts = await asyncio.gather(
        _look_at_postgres(servers, settings, now), _look_at_redis(servers, settings, now), _look_at_gateway(settings)
    )
    return {name: found for part in parts for name, found in part.items()}


async def _look_at_postgres(servers: Servers, settings: Settings, now: datetime) -> Seen:
    try:
        async with servers.postgres() as connection:
            waiting = await count_waiting(connection, servers.keys)
            oldest = await read_oldest(connection, servers.keys)
            audit = await read_last_audit(connection, servers.keys)
            compared = await read_reconciliations(connection)
    except UnreachableError:
        return {POSTGRES: Found(1)}
    audits = _audits(audit, now, timedelta(seconds=settings.notify_audit_s))
    return {POSTGRES: NOTHING} | _counts(waiting, oldest) | audits | _compared(compared)


def _counts(waiting: Waiting, oldest: Oldest) -> Seen:
    # What is on hold because of a conflict is part of that conflict.
    return {
        "dead_letters": _found(waiting.dead_letters, oldest.dead_letters),
        "conflicts": _found(waiting.conflicts, oldest.conflicts),
        "unsigned_facts": _found(waiting.unsigned, oldest.unsigned),
        "other_mode": _found(waiting.other_mode, oldest.other_mode),
        "restores": _found(waiting.restores, oldest.restores),
    }


def _compared(sources: Sequence[Reconciliation]) -> Seen:
    missing = [each for each in sources if each.open_missing]
    failing = [each for each in sources if each.failures >= FAILURES_MIN]
    return {
        "events_missing": Found(
            sum(each.open_missing for each in missing), oldest_at=_oldest(each.complete_until for each in missing)
        ),
        "reconcile_differs": Found(sum(each.open_extra + each.open_different for each in sources)),
        "reconcile_failing": Found(len(failing), oldest_at=_oldest(each.succeeded_at for each in failing)),
    }


def _oldest(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time), default=None)


def _found(count: int, oldest_at: datetime | None) -> Found:
    return Found(count, count >= COUNTED_MAX, oldest_at)


def _audits(audit: LastAudit, now: datetime, limit: timedelta) -> Seen:
    last_at = audit.finished_at or audit.installed_at
    return {
        "audit_findings": Found(audit.findings or 0, oldest_at=audit.finished_at),
        "audit_overdue": Found(1, oldest_at=last_at) if now - last_at > limit else NOTHING,
    }


async def _look_at_redis(servers: Servers, settings: Settings, now: datetime) -> Seen:
    try:
        async with servers.redis() as redis:
            stats = await read_all_stats(redis, servers.keys)
    except UnreachableError:
        return {REDIS: Found(1)}
    waits = Found(
        stats.stream.length if stats.stream else 0, oldest_at=now - timedelta(milliseconds=stats.oldest_age_ms)
    )
    return {REDIS: NOTHING, OLDEST: waits if stats.oldest_age_ms > settings.notify_oldest_s * 1000 else NOTHING}


async def _look_at_gateway(settings: Settings) -> Seen:
    url = settings.gateway_operators_url
    if not url:
        return {}
    return {GATEWAY: NOTHING if await gateway_lives(url) else Found(1)}
