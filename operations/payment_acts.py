"""What deciding a conflict and releasing held-back facts share: a worker's handlers, its locks, its error texts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from consumers.handlers import HandlerFailed, Handlers, Reject, Retry, load
from consumers.handlers.payments import builtin
from consumers.retry import describe
from consumers.settings import Settings
from contract.accounts import PostingRules
from runtime.sources_file import read_posting_rules
from sql import load as load_queries
from sql.connect import Connection, UnreachableError

EVENTS = load_queries("events")


@dataclass(frozen=True, slots=True)
class Posting:
    """The posting rules of the sources and the handlers, as a worker loads them at its start."""

    rules: Mapping[str, PostingRules]
    handlers: Handlers

    @classmethod
    def read(cls, settings: Settings) -> "Posting":
        """Read both from where the workers read them. Raise PostingRulesError and HandlersError."""
        rules = read_posting_rules(settings.sources_file)
        return cls(rules, load(settings.handlers, builtin(rules), settings.handlers_folder))


@asynccontextmanager
async def exclusive_transaction(
    connection: Connection, namespaces: Sequence[str], payments: Sequence[str]
) -> AsyncIterator[None]:
    """Open a transaction that holds the locks of these payments, so that no worker and no other operator has them."""
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(*EVENTS.bind("lock_resources", namespace=namespaces, resource=payments))
        yield


def failure_reason(error: HandlerFailed | Reject | ValidationError) -> str:
    """Return the reason in one line, without the event's data."""
    if isinstance(error, HandlerFailed):
        cause = error.__cause__ or error
        return f"a handler failed: {cause if isinstance(cause, Reject | Retry) else describe(cause)}".rstrip(".")
    return (str(error) if isinstance(error, Reject) else describe(error)).rstrip(".")


def connection_lost(error: HandlerFailed) -> UnreachableError:
    """Return the error to raise if Postgres closed the connection during a handler's call."""
    return UnreachableError(f"PostgreSQL closed the connection while a handler ran ({error}); nothing was changed")
