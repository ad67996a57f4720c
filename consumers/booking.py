"""Booking what was held back, in an open transaction: the worker's task and an operator's release share it."""

from collections.abc import Sequence

from consumers.handlers import Connection, Event, Handlers, Outcome, Reject
from consumers.handlers.payments import Payments
from ledger.transfers import TRANSFER_RULES


async def book_events(
    connection: Connection, handlers: Handlers, payments: Payments, events: Sequence[Event], timeout_s: float
) -> Outcome:
    """Book events that are believed now, and call the handlers of the facts that become true.

    The transaction holds their payments' locks. Raise HandlerFailed, Reject or ValidationError.
    """
    if not all(event.body for event in events):
        raise Reject("its payload is not kept any more, so that it cannot be read again")
    if any(handlers.is_of_other_mode(event) for event in events):
        raise Reject("it is of the other mode than its source, so that it moves nothing")
    outcome = await payments(connection, events, handlers.wanted | TRANSFER_RULES.keys())
    if outcome.incomplete:
        raise Reject("the body is not what its provider documents: what money needs is left out")
    await handlers.notify(connection, outcome.happened, timeout_s)
    return outcome
