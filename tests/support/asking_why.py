"""Asking `why` in tests: events, their states, and the parts of the document."""

import json
from typing import Any

from consumers.handlers import Handlers
from consumers.handlers.payments import HANDLERS
from consumers.settings import Settings
from contract.event import Event
from tests.support.consuming import Workers
from tests.support.events import contract_event, stripe_event
from tests.support.stream_states import Stream, say


def succeeded(event_id: str, amount: int = 1999, **changes: Any) -> Event:
    """Return the event of a payment that succeeded. Its body has texts that `why` must not show."""
    resource = changes.pop("resource", "pi_1")
    fields = {"receipt_email": "ada@example.org", "client_secret": "hush"}
    body = json.dumps(stripe_event(event_id, resource, amount=amount, fields=fields)).encode()
    return contract_event(event_id, resource, body=body, **changes)


def refund(event_id: str, refund_id: str = "re_1", amount: int = 500) -> Event:
    fields = {"id": refund_id, "object": "refund", "payment_intent": "pi_1", "status": "succeeded"}
    body = json.dumps(stripe_event(event_id, "pi_1", "refund.created", amount=amount, fields=fields)).encode()
    return contract_event(event_id, "pi_1", type="refund.created", body=body)


async def apply(workers: Workers, *events: Event, handlers: Handlers = HANDLERS, **changes: Any) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working(handlers, **changes):
        await workers.drained()


async def ask_why(settings: Settings, id_: str, code: int = 0) -> dict[str, Any]:
    """Return the document of `why`, and check that neither it nor the text shows anything of a body."""
    said = await say(settings, "why", id_, "--json")
    assert said.code == code, said
    shown = await say(settings, "why", id_)
    assert shown.code == code
    for hidden in ("ada@example.org", "hush"):
        assert hidden not in said.text + shown.text
    document: dict[str, Any] = said.json
    return document


def only_event(document: dict[str, Any]) -> dict[str, Any]:
    (event,) = document["events"]
    return event  # type: ignore[no-any-return]


def whats(document: dict[str, Any]) -> list[str]:
    return [moment["what"] for moment in document["timeline"]]


async def publish_and_read(stream: Stream, event: Event, *, by: str = "worker-2") -> str:
    entry_id = await stream.publish(event)
    await stream.read(by)
    return entry_id


async def stuck(settings: Settings, id_: str = "evt_1") -> tuple[str, str | None]:
    (found,) = (await ask_why(settings, id_))["stuck"]
    return found["why"], found["next"]
