"""Events as providers document them, re-made by us: what was sent, where that shape is documented, what it must give.

Each file in `tests/providers/recorded/<provider>/` holds one request. Its keys:
`source` (where the shape is documented), `headers` and `target` (path and query) and `settings` (of the source) where
a reader needs them, one of `body` (JSON), `text` (not JSON) and `xml` (within the form that signs it), `item` (which
event of the request is meant, 0 where absent), `event` (what the row in `events` must hold of event_id, type, resource
and occurred_at), `facts` (kind, amount, currency, object), `payment` (columns of the row in `payments`; null where none
may appear) and `transfers` (movement, debit, credit, amount, currency).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.event import Event
from providers.base import Headers, Request
from tests.support.cases.base import NOW
from tests.support.provider_cases import CASES

FOLDER = Path(__file__).parent.parent / "providers" / "recorded"


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded request and what it must give."""

    provider: str
    name: str
    content: dict[str, Any]

    @property
    def body(self) -> bytes:
        text = self.content.get("text")
        return (json.dumps(self.content["body"]) if text is None else text).encode()

    def request(self) -> Request:
        """As it came. It is not signed, save for a form, which nobody reads without its signature."""
        if "xml" in self.content:
            return CASES[self.provider].deliver(self.content["xml"]).request()
        headers = [(name.encode(), value.encode()) for name, value in self.content.get("headers", {}).items()]
        return Request("POST", self.content.get("target", "/webhooks/a"), Headers(headers), self.body, NOW)

    def event(self, namespace: str | None = None) -> Event:
        """As the gateway would publish it, once it had proven it genuine; in the provider's namespace unless told."""
        source = CASES[self.provider].source(**self.content.get("settings", {}))
        request = self.request()
        draft = source.parse(request)[self.content.get("item", 0)]
        return Event(
            source=self.provider,
            namespace=namespace or self.provider,
            provider=self.provider,
            event_id=draft.event_id,
            type=draft.type,
            resource=draft.resource,
            occurred_at=draft.occurred_at,
            received_at=NOW,
            signed="body",
            body=request.body if draft.body is None else draft.body,
            headers=draft.headers,
        )


def recordings(provider: str | None = None) -> list[Recording]:
    """All of them, or one provider's."""
    return [
        Recording(path.parent.name, path.stem, json.loads(path.read_text()))
        for path in sorted(FOLDER.glob(f"{provider or '*'}/*.json"))
    ]
