"""What the accounts of the ledger have, by namespace. Adds up every transfer, within a limit of time."""

from dataclasses import dataclass

from sql import load
from sql.connect import Connection

BALANCES = load("balances")

NAMESPACES_MAX = 200
ACCOUNTS_MAX = 500
"""Accounts shown. A name may hold a payment's id, so that there is no end to them."""

TRANSFERS_AT_ONCE = 50_000
"""Ledgers with more transfers are added up only if somebody asks for it."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One account in one currency: what was debited, what was credited, and the difference. Minor units."""

    account: str
    currency: str
    debits: int
    credits: int
    balance: int


@dataclass(frozen=True, slots=True)
class Balances:
    """The accounts of one namespace. `is_cut`: there are more than ACCOUNTS_MAX."""

    accounts: list[Balance]
    is_cut: bool


async def list_namespaces(connection: Connection) -> list[str]:
    """Return the namespaces that have transfers."""
    rows = await connection.fetch(*BALANCES.bind("list_namespaces_with_money", limit=NAMESPACES_MAX))
    return [row["namespace"] for row in rows]


async def is_large(connection: Connection) -> bool:
    """Return whether adding up takes long."""
    query = BALANCES.bind("is_more_transfers_than", transfers=TRANSFERS_AT_ONCE)
    return bool(await connection.fetchval(*query))


async def estimate_transfers(connection: Connection) -> int | None:
    """Return about how many transfers there are, in all namespaces; None if Postgres has never counted them."""
    number: int | None = await connection.fetchval(BALANCES["estimate_transfers"])
    return number


async def add_up_balances(connection: Connection, namespace: str, *, timeout_s: float) -> Balances | None:
    """Return the balances of a namespace, or None if adding up takes longer than `timeout_s`."""
    query = BALANCES.bind("add_up_balances", namespace=namespace, limit=ACCOUNTS_MAX + 1)
    try:
        rows = await connection.fetch(*query, timeout=timeout_s)
    except TimeoutError:
        return None
    return Balances([Balance(**row) for row in rows[:ACCOUNTS_MAX]], len(rows) > ACCOUNTS_MAX)
