"""The statements about what is asked of APIs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from consumers.confirmation.agreement import plain
from consumers.confirmation.decisions import DecideAgainst, PutOff
from consumers.store import read_applied_events
from contract.event import Event
from contract.facts import Fact
from providers.api import Fetched
from sql import load
from sql.connect import Connection

CONFIRMATIONS = load("confirmations")

HELD_BACK_AT_ONCE = 1000
"""Events of before that are asked for in one statement."""


@dataclass(frozen=True, slots=True)
class Due:
    """An event that is to be asked about now. `since_first_answer_s`: None where the API has not answered yet."""

    event: Event
    tries: int = 0
    age_s: float = 0.0
    since_first_answer_s: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What the API says about an event. `event` is the one to be booked; the facts are of both sides."""

    event: Event
    fetched: Fetched
    fetched_at: datetime
    reported: Sequence[Fact] = ()
    answered: Sequence[Fact] = ()


async def ask_for_held_back(pool: "asyncpg.Pool[Any]", source: str, acquire_timeout_s: float) -> int:
    """Ask for a source's events that were held back before its API was asked. Return how many there were."""
    total = 0
    async with pool.acquire(timeout=acquire_timeout_s) as connection:
        while number := await connection.fetchval(
            *CONFIRMATIONS.bind("ask_for_held_back", source=source, limit=HELD_BACK_AT_ONCE)
        ):
            total += number
    return total


async def claim_due(
    pool: "asyncpg.Pool[Any]", source: str, claimer: str, limit: int, lease_s: float, acquire_timeout_s: float
) -> list[Due]:
    """Claim events of a source that are due, and read them. Those that are not finished are due again after the lease.

    An event whose payload is not kept any more has an empty body.
    """
    claim = CONFIRMATIONS.bind("claim_due", source=source, claimer=claimer, limit=limit, lease_s=lease_s)
    async with pool.acquire(timeout=acquire_timeout_s) as connection:
        rows = await connection.fetch(*claim)
        events = await read_applied_events(connection, [tuple(row)[:2] for row in rows]) if rows else {}
    return [
        Due(events[row["namespace"], row["event_id"]], row["tries"], row["age_s"], row["since_first_answer_s"])
        for row in rows
        if (row["namespace"], row["event_id"]) in events
    ]


async def put_off(
    pool: "asyncpg.Pool[Any]", event: Event, claimer: str, decision: PutOff, acquire_timeout_s: float
) -> None:
    """Give a claim back, to be asked about again later."""
    query = CONFIRMATIONS.bind(
        "put_off", namespace=event.namespace, event_id=event.event_id, claimer=claimer, wait_s=decision.wait_s,
        reason=storable(decision.reason), is_answer=decision.is_answer,
    )  # fmt: skip
    async with pool.acquire(timeout=acquire_timeout_s) as connection:
        await connection.execute(*query)


async def give_back(pool: "asyncpg.Pool[Any]", claimer: str, acquire_timeout_s: float) -> None:
    """Give all claims of a worker back, so that others need not wait for the end of their leases."""
    async with pool.acquire(timeout=acquire_timeout_s) as connection:
        await connection.execute(*CONFIRMATIONS.bind("give_back", claimer=claimer))


async def decide_against(
    pool: "asyncpg.Pool[Any]", event: Event, decision: DecideAgainst, said: Said | None, acquire_timeout_s: float
) -> bool:
    """Record why an event is not booked. Return False where it was decided meanwhile."""
    query = CONFIRMATIONS.bind(
        "decide_against",
        namespace=event.namespace,
        event_id=event.event_id,
        state=decision.state,
        reason=storable(decision.reason),
        reported=json.dumps(plain(said.reported)) if said else None,
        answered=json.dumps(plain(said.answered)) if said else None,
        fetched=said.fetched.body if said else None,
        fetched_type=said.fetched.type if said else None,
        fetched_at=said.fetched_at if said else None,
    )
    async with pool.acquire(timeout=acquire_timeout_s) as connection:
        return bool(await connection.fetchval(*query))


async def confirm(connection: Connection, said: Sequence[Said]) -> set[tuple[str, str]]:
    """Record what confirms these events, and take them off hold. Return the namespace and id of those due still."""
    rows = await connection.fetch(
        *CONFIRMATIONS.bind(
            "confirm",
            namespace=[each.event.namespace for each in said],
            event_id=[each.event.event_id for each in said],
            reported=[json.dumps(plain(each.reported)) for each in said],
            answered=[json.dumps(plain(each.answered)) for each in said],
            fetched=[each.fetched.body for each in said],
            fetched_type=[each.fetched.type for each in said],
            fetched_at=[each.fetched_at for each in said],
        )
    )
    return {(row["namespace"], row["event_id"]) for row in rows}


REASON_CHARS_MAX = 1000


def storable(text: str) -> str:
    """Return the beginning of a text, without characters that Postgres cannot hold."""
    text = text[:REASON_CHARS_MAX].encode(errors="backslashreplace").decode()
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
