"""What a source says of a request: its events, or why it refuses it."""

from datetime import datetime

from contract.event import Event
from providers.base import SignatureError
from tests.support.cases.base import NOW, Case, Signed


async def events_of(
    case: Case, signed: Signed, *secrets: str, received_at: datetime = NOW, **settings: object
) -> list[Event]:
    """The events of a request that a source of this case accepts."""
    deliveries = await case.source(*secrets, **settings).verify(signed.request(received_at))
    return [delivery.event for delivery in deliveries]


async def event_of(case: Case, signed: Signed, *secrets: str, received_at: datetime = NOW, **settings: object) -> Event:
    """Its only event."""
    (event,) = await events_of(case, signed, *secrets, received_at=received_at, **settings)
    return event


async def outcome_of(case: Case, signed: Signed, *secrets: str, received_at: datetime = NOW, **settings: object) -> str:
    """ "genuine", or the reason why the signature proves nothing. Nothing is read of the body."""
    try:
        await case.source(*secrets, **settings).authenticate(signed.request(received_at))
    except SignatureError as refused:
        return refused.reason
    return "genuine"
