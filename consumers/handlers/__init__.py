"""The public API for handlers: code that runs inside the transaction that applies an event.

docs/handlers.md is its tutorial. Import from this package and not from its modules.
"""

from consumers.handlers.exceptions import HandlerFailed, HandlersError, Reject, Retry, TransactionEndedError
from consumers.handlers.loading import load
from consumers.handlers.payment_fact import PaymentFact, idempotency_key
from consumers.handlers.registry import Handlers, Projection
from contract.event import Event
from ledger.outcome import Outcome
from sql.connect import Connection

__all__ = [
    "Connection",
    "Event",
    "HandlerFailed",
    "Handlers",
    "HandlersError",
    "Outcome",
    "PaymentFact",
    "Projection",
    "Reject",
    "Retry",
    "TransactionEndedError",
    "idempotency_key",
    "load",
]
