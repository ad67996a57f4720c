"""The kinds of things that can wait for a person, and the message about each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from operations.units import duration


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `several` and `one` are sentences that say what waits, `over` one that says that nothing does."""

    name: str
    one: str
    several: str
    over: str
    runbook: str
    page: str = ""
    """The console's page about it."""
    ends: bool = True
    """Whether somebody can bring it to an end. If nobody can, it is not repeated until it grows."""


@dataclass(frozen=True, slots=True)
class Found:
    """How much of one kind waits; 0: nothing. `oldest_at` is None where it is not known."""

    count: int
    at_least: bool = False
    """Whether the count stopped at its limit."""
    oldest_at: datetime | None = None


NOTHING = Found(0)

POSTGRES, REDIS, GATEWAY, OLDEST = "postgres_unreachable", "redis_unreachable", "gateway_unreachable", "oldest_entry"

_ALL = (
    Kind("dead_letters", "1 dead letter waits for a person.", "{count} dead letters wait for a person.",
         "No dead letter waits any more.", "docs/runbooks/WebhookDeadLettersOpen.md", "/dead"),
    Kind("conflicts", "1 contradiction about money waits for a decision.",
         "{count} contradictions about money wait for a decision.",
         "No contradiction about money waits any more.", "docs/runbooks/WebhookConflictsOpen.md", "/conflicts"),
    Kind("unsigned_facts", "1 fact is on hold, because no signature covers it.",
         "{count} facts are on hold, because no signature covers them.",
         "No fact is on hold for its signature any more.", "docs/runbooks/WebhookFactsOnHold.md", "/conflicts"),
    Kind("other_mode", "1 event moved no money, because it is of the other mode than its source.",
         "{count} events moved no money, because they are of the other mode than their source.",
         "No event is of the other mode than its source.", "docs/payments.md#test-money",
         "/events?query=status:other_mode", ends=False),
    Kind("events_missing", "1 event that its provider lists never arrived.",
         "{count} events that their providers list never arrived.",
         "Every event that was compared with a provider's list has arrived.",
         "docs/runbooks/WebhookEventsMissing.md", "/reconciliation"),
    Kind("reconcile_differs", "1 event or payment differs from its provider's list.",
         "{count} events or payments differ from their providers' lists.",
         "Nothing differs from a provider's list any more.", "docs/reconciliation.md", "/reconciliation"),
    Kind("reconcile_failing", "1 source cannot be compared with its provider's list.",
         "{count} sources cannot be compared with their providers' lists.",
         "Sources are compared with their providers' lists again.", "docs/runbooks/WebhookReconcileBehind.md",
         "/reconciliation"),
    Kind("restores", "1 restore of Redis or PostgreSQL is not acknowledged.",
         "{count} restores of Redis or PostgreSQL are not acknowledged.",
         "Every restore is acknowledged.", "docs/runbooks/WebhookRestoreNotAcknowledged.md", "/audit"),
    Kind("audit_findings", "The last audit found 1 broken rule.", "The last audit found {count} broken rules.",
         "The last audit found no broken rule.", "docs/runbooks/WebhookAuditFoundErrors.md", "/audit"),
    Kind("audit_overdue", "No audit has ended for {age}.", "No audit has ended for {age}.",
         "An audit has ended.", "docs/runbooks/WebhookAuditOverdue.md", "/audit"),
    Kind(OLDEST, "1 accepted event waits to be applied, for {age}.",
         "{count} accepted events wait to be applied, the oldest for {age}.",
         "Accepted events are applied again.", "docs/runbooks/WebhookOldestEntryOld.md", "/pending"),
    Kind(POSTGRES, "PostgreSQL does not answer as it should.", "PostgreSQL does not answer as it should.",
         "PostgreSQL answers again.", "docs/runbooks/WebhookPostgresDown.md"),
    Kind(REDIS, "Redis does not answer as it should.", "Redis does not answer as it should.",
         "Redis answers again.", "docs/runbooks/WebhookRedisDown.md"),
    Kind(GATEWAY, "The gateway cannot be reached.", "The gateway cannot be reached.",
         "The gateway can be reached again.", "docs/runbooks/WebhookGatewayMetricsMissing.md"),
)  # fmt: skip

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def message_body(kind: Kind, found: Found, now: datetime, console_url: str) -> str:
    """Return the JSON of a message. It has counts, times and our own words, and nothing that a sender wrote."""
    data: dict[str, object] = {"state": "waiting" if found.count else "resolved", "count": found.count}
    if found.count:
        data |= {"at_least": found.at_least, "oldest_at": found.oldest_at and _iso(found.oldest_at)}
    data |= {"summary": summary(kind, found, now), "runbook": kind.runbook}
    if console_url:
        data["console_url"] = console_url.rstrip("/") + kind.page
    return json.dumps({"type": f"waiting.{kind.name}", "timestamp": _iso(now), "data": data})


def summary(kind: Kind, found: Found, now: datetime) -> str:
    """Return one sentence."""
    if not found.count:
        return kind.over
    age = duration((now - found.oldest_at).total_seconds() * 1000) if found.oldest_at else "an unknown time"
    count = f"{found.count:,} or more" if found.at_least else f"{found.count:,}"
    return (kind.one if found.count == 1 else kind.several).format(count=count, age=age)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
