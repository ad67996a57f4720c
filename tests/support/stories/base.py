"""What the senders of stories share: a provider's request becomes the event that the gateway would publish."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from contract.event import Event, Signed
from providers.base import Headers, Provider, Request
from tests.support.cases.base import NOW
from tests.support.ledger_model import Life
from tests.support.provider_cases import CASES

SIGNED: Mapping[str, Signed] = {"stripe": "body", "paypal": "weak", "adyen": "fields"}

AMOUNTS = st.one_of(st.integers(1, 3), st.integers(1, 10**7), st.just(2**40))
"""In minor units."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A transfer of one of the lives, and how to make another event of it with another amount or currency."""

    life: Life
    kind: str
    id: str
    amount: int
    event_with: Callable[[int, str], Event]


@dataclass(slots=True)
class Story:
    """What happened, and every event about it in the order in which it happened."""

    provider: str
    lives: list[Life] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)

    def send(self, body: Mapping[str, Any], headers: Mapping[str, str] = {}) -> None:
        """Add the event of the request."""
        self.events.append(published(self.provider, body, headers))


@lru_cache
def _source(provider: str) -> Provider:
    return CASES[provider].source()


def published(provider: str, body: Mapping[str, Any], headers: Mapping[str, str] = {}) -> Event:
    """Return the event as the gateway would publish it."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request("POST", "/webhooks/a", Headers(raw), json.dumps(body).encode(), NOW)
    source = _source(provider)
    (parsed,) = source.parse(request)
    return replace(source.to_event(request, SIGNED.get(provider, "body"), parsed), source=provider, namespace=provider)


def again(event: Event) -> Event:
    """Return the event under another id, for providers whose events are identified by their content."""
    values = {name: getattr(event, name) for name in Event.__slots__}
    return Event(**values | {"event_id": f"{event.event_id}:again"})


def parts(draw: st.DrawFn, whole: int, count_max: int) -> list[int]:
    """Return at most `count_max` positive amounts whose sum is at most the whole."""
    left, found = whole, []
    for _ in range(draw(st.integers(0, count_max))):
        if not left:
            break
        part = draw(st.one_of(st.just(left), st.integers(1, left)))
        found.append(part)
        left -= part
    return found
