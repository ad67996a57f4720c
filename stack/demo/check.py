"""Compares what Postgres holds about the sample payments with what their scenarios lead to."""

import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from contract.accounts import PostingRules, PostingRulesError
from sql import load
from sql.connect import UnreachableError, connect
from sql.pooled_connection import Pooler
from stack.base import StackError
from stack.demo.samples import PATHS, PaymentRow, Scenario

DEMO = load("demo")

AUDIT_TIMEOUT_S = 600
CONNECT_TIMEOUT_S = 30

CONFLICT_IS_OPEN = "conflict_without_decision"
"""The invariant that the audit reports as broken until the conflict is resolved."""


@dataclass(frozen=True, slots=True)
class Source:
    """One of the endpoints that the samples are sent to, as sources.toml describes it."""

    name: str
    provider: str
    namespace: str
    rules: PostingRules


@dataclass(frozen=True, slots=True, order=True)
class Transfer:
    """A booked transfer. `movement` is its transfer key, named as the column."""

    payment_id: str
    movement: str
    debit_account: str
    credit_account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, order=True)
class Balance:
    """The sum of the demonstration's transfers in one account: credits less debits, in minor units."""

    currency: str
    account: str
    balance: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """An unresolved conflict: two amounts were reported for one transfer."""

    id: int
    payment_id: str
    movement: str
    booked_amount: int | None
    reported_amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class BookedState:
    """What Postgres holds about the samples. `wrong` lists the payments that differ from their scenarios."""

    outcomes: list[PaymentRow]
    balances: list[Balance]
    conflicts: list[Conflict]
    held_back: int
    duplicates: int
    wrong: list[str]


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of `make audit`: the names of the broken invariants, each with why it should hold."""

    passed: bool
    broken: dict[str, str] = field(default_factory=dict)


def read_sources(path: Path) -> dict[str, Source]:
    """Read the endpoints that the samples need. Raise StackError if one is missing or unsuitable."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        sources = {name: _source(name, tables[name]) for name in PATHS}
    except KeyError as error:
        raise StackError(
            f"the samples need the sources {' and '.join(PATHS)}; {path} has no [{error.args[0]}]"
        ) from error
    except (OSError, ValueError, PostingRulesError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
    if automatic := [name for name, source in sources.items() if source.rules.capture == "automatic"]:
        raise StackError(f'the samples report their captures; [{automatic[0]}] of {path} has capture = "automatic"')
    return sources


def _source(name: str, table: Mapping[str, Any]) -> Source:
    return Source(name, str(table.get("provider")), str(table.get("namespace", name)), PostingRules.from_table(table))


def expected_transfers(scenario: Scenario, source: Source) -> list[Transfer]:
    """Return the transfers of a scenario, between the accounts that its source books to."""
    payment, currency = scenario.payment.payment_id, scenario.payment.currency

    def account(part: str) -> str:
        return source.rules.accounts[part].format(
            source=source.name, namespace=source.namespace, provider=source.provider, currency=currency, payment=payment
        )

    return sorted(
        Transfer(payment, each.transfer_key, account(each.debit), account(each.credit), each.amount, currency)
        for each in scenario.transfers
    )


def is_as_expected(
    scenario: Scenario, source: Source, found: Collection[Transfer], conflicts: Sequence[Conflict]
) -> bool:
    """Return whether exactly the expected transfers were booked, and no conflict was found.

    A scenario that contradicts itself must leave a conflict instead: one of its two amounts is booked, and the facts
    that arrive later are on hold.
    """
    expected = expected_transfers(scenario, source)
    if not scenario.conflicting_key:
        return sorted(found) == expected and not conflicts
    once = Counter(transfer.movement for transfer in found)
    is_booked_once = set(found) <= set(expected) and once[scenario.conflicting_key] == 1 and max(once.values()) == 1
    return is_booked_once and [conflict.movement for conflict in conflicts] == [scenario.conflicting_key]


def balances(transfers: Collection[Transfer]) -> list[Balance]:
    """Return the sum of these transfers in each account."""
    sums: Counter[tuple[str, str]] = Counter()
    for transfer in transfers:
        sums[transfer.currency, transfer.credit_account] += transfer.amount
        sums[transfer.currency, transfer.debit_account] -= transfer.amount
    return sorted(Balance(*account, balance) for account, balance in sums.items())


@asynccontextmanager
async def reading(environment: Mapping[str, str]) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database, also through a pooler. Raises StackError."""
    pooler: Pooler = "transaction" if environment.get("DATABASE_POOLER") == "transaction" else "none"
    try:
        async with connect(environment["DATABASE_URL"], timeout_s=CONNECT_TIMEOUT_S, pooler=pooler) as connection:
            yield connection
    except UnreachableError as error:
        raise StackError(f"{error}; `make status` shows more") from error


async def progress(connection: asyncpg.Connection, namespaces: list[str], event_ids: list[str]) -> tuple[int, int]:
    """Return how many of these events are committed and how many are dead letters."""
    row = await connection.fetchrow(*DEMO.bind("demo_progress", namespaces=namespaces, event_ids=event_ids))
    return int(row["applied"]), int(row["dead"])


async def read_booked_state(
    connection: asyncpg.Connection, scenarios: Sequence[Scenario], sources: Mapping[str, Source]
) -> BookedState:
    """Read everything about the samples and compare it with their scenarios."""
    payments = [scenario.payment.payment_id for scenario in scenarios]
    event_ids = [event.event_id for scenario in scenarios for event in scenario.events]
    namespaces = sorted({source.namespace for source in sources.values()})
    outcomes = {
        row["payment_id"]: PaymentRow(**row) for row in await _rows(connection, "payments", namespaces, payments)
    }
    transfers = [Transfer(**row) for row in await _rows(connection, "transfers", namespaces, payments)]
    conflicts = [Conflict(**row) for row in await _rows(connection, "conflicts", namespaces, payments)]

    def is_right(scenario: Scenario) -> bool:
        payment = scenario.payment.payment_id
        booked = [transfer for transfer in transfers if transfer.payment_id == payment]
        open_ = [conflict for conflict in conflicts if conflict.payment_id == payment]
        is_row = outcomes.get(payment) == scenario.payment
        return is_row and is_as_expected(scenario, sources[scenario.events[0].source], booked, open_)

    return BookedState(
        outcomes=sorted(outcomes.values()),
        balances=balances(transfers),
        conflicts=conflicts,
        held_back=int(
            await connection.fetchval(*DEMO.bind("demo_held_back", namespaces=namespaces, payment_ids=payments))
        ),
        duplicates=int(
            await connection.fetchval(*DEMO.bind("demo_duplicates", namespaces=namespaces, event_ids=event_ids))
        ),
        wrong=[scenario.payment.payment_id for scenario in scenarios if not is_right(scenario)],
    )


async def _rows(
    connection: asyncpg.Connection, what: str, namespaces: list[str], payment_ids: list[str]
) -> list[dict[str, Any]]:
    query = DEMO.bind(f"demo_{what}", namespaces=namespaces, payment_ids=payment_ids)
    return [dict(row) for row in await connection.fetch(*query)]


def audit(environment: Mapping[str, str]) -> Audit:
    """Run the audit."""
    done = subprocess.run(
        [sys.executable, "-m", "operations", "audit", "--json"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=AUDIT_TIMEOUT_S,
    )
    if not done.stdout:
        raise StackError(f"the audit could not run ({done.returncode}): {done.stderr.strip()}")
    return Audit(done.returncode == 0, {each["name"]: each["why"] for each in json.loads(done.stdout)["broken"]})
