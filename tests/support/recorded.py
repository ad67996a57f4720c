"""Events as providers document them, re-made by us: the request, its source, and the rows that it must give.

Each file in `tests/providers/recorded/<provider>/` holds one request. Its keys:
`source` (where the shape is documented), `headers` and `target` (path and query) and `settings` (of the source) where
a parser needs them, one of `body` (JSON), `text` (not JSON) and `xml` (in the form that signs it), `item` (the index of
the event in the request, 0 where absent), `fetched` (type and body of what the API said about it, where that is what is
booked), `event` (event_id, type, resource and occurred_at of the row in `events`),
`facts` (kind, amount, currency, object), or `incomplete` (a part that it leaves out, so that nothing is booked),
`payment` (columns of the row in `payments`; null for no row) and `transfers`
(movement, debit, credit, amount, currency).
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contract.event import Event
from providers.base import Headers, Request
from tests.support.cases.base import NOW
from tests.support.provider_cases import CASES

FOLDER = Path(__file__).parent.parent / "providers" / "recorded"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded request and the rows that it must give."""

    provider: str
    name: str
    content: dict[str, Any]

    @property
    def body(self) -> bytes:
        text = self.content.get("text")
        return (json.dumps(self.content["body"]) if text is None else text).encode()

    def request(self) -> Request:
        """Return the request. Only a form is signed, because it cannot be parsed without its signature."""
        if "xml" in self.content:
            return CASES[self.provider].deliver(self.content["xml"]).request()
        headers = [(name.encode(), value.encode()) for name, value in self.content.get("headers", {}).items()]
        return Request("POST", self.content.get("target", "/webhooks/a"), Headers(headers), self.body, NOW)

    def event(self, namespace: str | None = None) -> Event:
        """Return the event as the gateway would publish it; in the provider's namespace by default."""
        source = CASES[self.provider].source(**self.content.get("settings", {}))
        request = self.request()
        parsed = source.parse(request)[self.content.get("item", 0)]
        event = source.to_event(request, "body", parsed)
        if said := self.content.get("fetched"):
            event = replace(event, type=said["type"], body=json.dumps(said["body"]).encode(), signed="api")
        return replace(event, source=self.provider, namespace=namespace or self.provider)


def recordings(provider: str | None = None) -> list[Recording]:
    """Return all recordings, or those of one provider."""
    return [
        Recording(path.parent.name, path.stem, json.loads(path.read_text()))
        for path in sorted(FOLDER.glob(f"{provider or '*'}/*.json"))
    ]
