"""What became of the sample payments, beside what their stories say: nothing here takes the database's word for it."""

import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from contract.accounts import PostingRules, PostingRulesError
from sql import load
from stack.base import StackError
from stack.demo.samples import PATHS, Movement, Outcome, Story

DEMO = load("demo")

AUDIT_TIMEOUT_S = 600

CONFLICT_IS_OPEN = "conflict_without_decision"
"""What the audit finds as long as nobody decides."""


@dataclass(frozen=True, slots=True)
class Source:
    """What sources.toml says about one of the endpoints that the samples go to."""

    name: str
    provider: str
    namespace: str
    rules: PostingRules


@dataclass(frozen=True, slots=True, order=True)
class Transfer:
    """One movement of money as it is booked."""

    payment_id: str
    movement: str
    debit_account: str
    credit_account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, order=True)
class Balance:
    """What the demonstration left in one account: what was credited less what was debited."""

    currency: str
    account: str
    balance: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two amounts told for one movement, and nobody has decided."""

    id: int
    payment_id: str
    movement: str
    booked_amount: int | None
    told_amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Books:
    """What Postgres holds of the samples. `wrong` are the payments that are not what their events say."""

    outcomes: list[Outcome]
    balances: list[Balance]
    conflicts: list[Conflict]
    held_back: int
    duplicates: int
    wrong: list[str]


@dataclass(frozen=True, slots=True)
class Audit:
    """What `make audit` says of the whole database: the invariants that do not hold, and why each should."""

    passed: bool
    broken: dict[str, str] = field(default_factory=dict)


def read_sources(path: Path) -> dict[str, Source]:
    """The endpoints that the samples need. Raises StackError where they are not as the samples expect them."""
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
        raise StackError(f'the samples tell their captures; [{automatic[0]}] of {path} has capture = "automatic"')
    return sources


def _source(name: str, table: Mapping[str, Any]) -> Source:
    return Source(name, str(table.get("provider")), str(table.get("namespace", name)), PostingRules.from_table(table))


def expected_transfers(story: Story, source: Source) -> list[Transfer]:
    """Each movement of a story between the accounts that its source books to."""
    payment, currency = story.outcome.payment_id, story.outcome.currency

    def account(part: str) -> str:
        return source.rules.accounts[part].format(
            source=source.name, namespace=source.namespace, provider=source.provider, currency=currency, payment=payment
        )

    def booked(movement: Movement) -> Transfer:
        accounts = account(movement.debit), account(movement.credit)
        return Transfer(payment, movement.name, *accounts, movement.amount, currency)

    return sorted(map(booked, story.movements))


def is_as_told(story: Story, source: Source, found: Collection[Transfer], conflicts: Sequence[Conflict]) -> bool:
    """Whether exactly that was booked which had to be. Of a contradicted story: one of the two amounts, and a conflict;
    what came after that is held back.
    """
    expected = expected_transfers(story, source)
    if not story.contradicted:
        return sorted(found) == expected and not conflicts
    once = Counter(transfer.movement for transfer in found)
    is_told = set(found) <= set(expected) and once[story.contradicted] == 1 and max(once.values()) == 1
    return is_told and [conflict.movement for conflict in conflicts] == [story.contradicted]


def balances(transfers: Collection[Transfer]) -> list[Balance]:
    """What these transfers leave in each account."""
    sums: Counter[tuple[str, str]] = Counter()
    for transfer in transfers:
        sums[transfer.currency, transfer.credit_account] += transfer.amount
        sums[transfer.currency, transfer.debit_account] -= transfer.amount
    return sorted(Balance(*account, balance) for account, balance in sums.items())


async def progress(connection: asyncpg.Connection, namespaces: list[str], event_ids: list[str]) -> tuple[int, int]:
    """How many of these events are committed, and how many are dead."""
    row = await connection.fetchrow(DEMO["demo_progress"], namespaces, event_ids)
    return int(row["applied"]), int(row["dead"])


async def read_books(connection: asyncpg.Connection, stories: Sequence[Story], sources: Mapping[str, Source]) -> Books:
    """Everything about the samples, compared with their stories."""
    payments = [story.outcome.payment_id for story in stories]
    event_ids = [event.event_id for story in stories for event in story.events]
    namespaces = sorted({source.namespace for source in sources.values()})
    outcomes = {row["payment_id"]: Outcome(**row) for row in await _rows(connection, "payments", namespaces, payments)}
    transfers = [Transfer(**row) for row in await _rows(connection, "transfers", namespaces, payments)]
    conflicts = [Conflict(**row) for row in await _rows(connection, "conflicts", namespaces, payments)]

    def is_right(story: Story) -> bool:
        payment = story.outcome.payment_id
        booked = [transfer for transfer in transfers if transfer.payment_id == payment]
        open_ = [conflict for conflict in conflicts if conflict.payment_id == payment]
        is_row = outcomes.get(payment) == story.outcome
        return is_row and is_as_told(story, sources[story.events[0].source], booked, open_)

    return Books(
        outcomes=sorted(outcomes.values()),
        balances=balances(transfers),
        conflicts=conflicts,
        held_back=int(await connection.fetchval(DEMO["demo_held_back"], namespaces, payments)),
        duplicates=int(await connection.fetchval(DEMO["demo_duplicates"], namespaces, event_ids)),
        wrong=[story.outcome.payment_id for story in stories if not is_right(story)],
    )


async def _rows(connection: asyncpg.Connection, what: str, *arguments: list[str]) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(DEMO[f"demo_{what}"], *arguments)]


def audit(environment: Mapping[str, str]) -> Audit:
    """What `make audit` would say now."""
    done = subprocess.run(
        [sys.executable, "-m", "consumers", "audit", "--json"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=AUDIT_TIMEOUT_S,
    )
    if not done.stdout:
        raise StackError(f"the audit could not be made ({done.returncode}): {done.stderr.strip()}")
    return Audit(done.returncode == 0, {each["name"]: each["why"] for each in json.loads(done.stdout)["broken"]})
