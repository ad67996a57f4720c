"""What is done with an event, inside the transaction that applies it. The built-in projection uses this door too.

docs/handlers.md shows how; a module of yours imports from here and from nowhere below.
"""

from consumers.handlers.connection import Connection
from consumers.handlers.loading import load
from consumers.handlers.registry import Handlers, Outcome, Projection
from consumers.handlers.told import PaymentFact, idempotency_key
from consumers.handlers.verbs import HandlerFailed, HandlersError, Reject, Retry, TransactionEndedError
from contract.event import Event

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
