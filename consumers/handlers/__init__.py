"""What is done with an event, inside the transaction that applies it. The built-in projection uses this door too.

docs/handlers.md shows how; a module of yours imports from here and from nowhere below.
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
