"""The checker: from the answers senders got and the final state of the stores, which promises were broken?

Nothing here knows how the system works. It asks what an auditor would: is every promised event applied once, with the
bytes that were sent; does every entry id that was handed out have one fate; do the payments add up to the events?
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import asyncpg
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from consumers.stream_stats import every_partition
from contract.keys import GROUP, Keys
from operations.stream_accounting import account_for_entries
from runtime.redis_address import CLUSTER_SCHEMES
from runtime.redis_connection import client
from sql.audit import audit
from sql.connect import connect
from tests.support.history import ExpectedPayment, History
from tests.support.wait import until

CONNECT_TIMEOUT_S = 10.0
AUDIT_TIMEOUT_S = 120.0
REDIS_TIMEOUT_S = 10.0

DRAIN_TIMEOUT_S = 60.0
"""How long the workers may take, once everything is healed, to apply what waits. Backoffs and leases run out first."""

APPLIED = """
    SELECT events.event_id, events.entry_id, encode(sha256(payloads.body), 'hex') AS body_sha
    FROM events LEFT JOIN payloads USING (namespace, event_id)
"""
DUPLICATES = "SELECT entry_id, event_id FROM duplicates"
DEAD = "SELECT entry_id, event_id, state, reason FROM dead_letters"
PAYMENTS = """
    SELECT payment_id AS payment, amount, captured, refunded, disputed, succeeded, failed, currency, contradicted
    FROM payments
"""


@dataclass(frozen=True, slots=True)
class State:
    """What Postgres holds."""

    applied: list[Mapping[str, Any]]
    duplicates: list[Mapping[str, Any]]
    dead: list[Mapping[str, Any]]
    payments: list[Mapping[str, Any]]


async def read_state(connection: asyncpg.Connection) -> State:
    """All of it, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return State(*[await connection.fetch(query) for query in (APPLIED, DUPLICATES, DEAD, PAYMENTS)])


def find_broken_promises(history: History, state: State, *, one_202_each: bool = True) -> list[str]:
    """Every broken promise, in a sentence. `one_202_each`: no marker was lost, so an event is new only once."""
    return [
        *_promised_but_missing(history, state),
        *_applied_but_never_sent(history, state),
        *_entries_without_one_fate(history, state),
        *_given_up(state),
        *_payments_that_do_not_add_up(history, state),
        *(_accepted_twice(history) if one_202_each else []),
    ]


def _promised_but_missing(history: History, state: State) -> Iterable[str]:
    applied = {row["event_id"] for row in state.applied}
    waiting = {row["event_id"] for row in state.dead if row["state"] == "open"}
    for event, sent in history.events.items():
        if sent.is_promised and event not in applied and event not in waiting:
            yield f"missing: {event} was answered {sent.statuses}, and is neither applied nor a dead letter"


def _applied_but_never_sent(history: History, state: State) -> Iterable[str]:
    for row in state.applied:
        sent = history.events.get(row["event_id"])
        if sent is None:
            yield f"invented: {row['event_id']} is applied, and nobody sent it"
        elif row["body_sha"] != sent.body_sha:
            yield f"mismatch: {row['event_id']} is kept with other bytes than were sent"
    for event, count in Counter(row["event_id"] for row in state.applied).items():
        if count > 1:
            yield f"duplicate: {event} is applied {count} times, or has {count} payloads"


def _entries_without_one_fate(history: History, state: State) -> Iterable[str]:
    fates = Counter(row["entry_id"] for rows in (state.applied, state.duplicates, state.dead) for row in rows)
    for entry_id, count in fates.items():
        if count > 1:
            yield f"conflict: entry {entry_id} has {count} fates"
    for event, sent in history.events.items():
        for entry_id in sent.entry_ids:
            if entry_id not in fates:
                yield f"missing: entry {entry_id} of {event} was handed out with a 202, and has no fate"


def _given_up(state: State) -> Iterable[str]:
    for row in state.dead:
        yield f"given up: entry {row['entry_id']} of {row['event_id']}, which is a good event: {row['reason']}"


def _payments_that_do_not_add_up(history: History, state: State) -> Iterable[str]:
    expected: dict[str, dict[str, Any]] = {}
    for row in state.applied:
        if sent := history.events.get(row["event_id"]):
            expected[sent.expected.payment] = _joined(expected.get(sent.expected.payment), sent.expected)
    found = {row["payment"]: dict(row) for row in state.payments}
    for payment in expected.keys() | found.keys():
        if expected.get(payment) != found.get(payment):
            yield f"mismatch: payment {payment} is {found.get(payment)}, its events make it {expected.get(payment)}"


def _joined(known: dict[str, Any] | None, expected: ExpectedPayment) -> dict[str, Any]:
    """Amounts are totals and only grow; what happened once has happened."""
    facts = {each.name: getattr(expected, each.name) for each in fields(expected)} | {
        "currency": "EUR",
        "contradicted": False,
    }
    if known is None:
        return facts
    return {name: max(known[name], value) for name, value in facts.items()}


def _accepted_twice(history: History) -> Iterable[str]:
    for event, sent in history.events.items():
        if sent.statuses.count(202) > 1:
            yield f"duplicate: {event} was answered 202 {sent.statuses.count(202)} times"


def reading(redis_url: str) -> Redis:
    """Return a client of one server, or of all nodes of a cluster."""
    if redis_url.startswith(CLUSTER_SCHEMES):
        return client(SecretStr(redis_url), timeout_s=REDIS_TIMEOUT_S, name="checker")
    return Redis.from_url(redis_url, protocol=3)


async def drained(redis_url: str, key_prefix: str, timeout_s: float = DRAIN_TIMEOUT_S) -> None:
    """Waits until nothing is in the stream, and nothing pending."""
    keys = Keys(key_prefix)
    async with reading(redis_url) as redis:
        await until(lambda: _is_empty(redis, keys), timeout_s=timeout_s, what="the stream is drained")


async def _is_empty(redis: Redis, keys: Keys) -> bool:
    try:
        return all([await _is_partition_empty(redis, each) for each in await every_partition(redis, keys)])
    except (RedisConnectionError, RedisTimeoutError):  # on a busy machine a cluster replaces a master by itself
        return False


async def _is_partition_empty(redis: Redis, keys: Keys) -> bool:
    if await redis.xlen(keys.events):
        return False
    groups = await redis.xinfo_groups(keys.events)
    assert [group["name"] for group in groups] == [GROUP.encode()]
    return all(group["pending"] == 0 for group in groups)


async def broken_rules(redis_url: str, database_url: str, key_prefix: str) -> list[str]:
    """What the system's own audit says: Postgres' invariants, and the account of the stream."""
    found: list[list[str]] = []

    async def is_answered() -> bool:
        try:
            found.append(await _broken_rules(redis_url, database_url, key_prefix))
        except (RedisConnectionError, RedisTimeoutError):
            return False
        return True

    await until(is_answered, timeout_s=AUDIT_TIMEOUT_S, what="Redis answers the audit")
    return found[0]


async def _broken_rules(redis_url: str, database_url: str, key_prefix: str) -> list[str]:
    async with (
        reading(redis_url) as redis,
        connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as connection,
    ):
        findings = await audit(connection, timeout_s=AUDIT_TIMEOUT_S)
        sums, more = await account_for_entries(redis, Keys(key_prefix), connection, timeout_s=AUDIT_TIMEOUT_S)
        broken = [f"audit: {finding.name} ({finding.total}): {finding.rows[:3]}" for finding in [*findings, *more]]
        return broken if sums else [*broken, "audit: there are no sums"]


async def check_promises(
    history: History, redis_url: str, database_url: str, key_prefix: str, *, one_202_each: bool = True
) -> list[str]:
    """Drains, then all of the above. Empty where every promise was kept."""
    await drained(redis_url, key_prefix)
    async with connect(database_url, timeout_s=CONNECT_TIMEOUT_S) as connection:
        state = await read_state(connection)
    broken = find_broken_promises(history, state, one_202_each=one_202_each)
    return broken + await broken_rules(redis_url, database_url, key_prefix)
