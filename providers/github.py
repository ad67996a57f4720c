"""GitHub: `X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the body>`.

Source: docs.github.com, "Validating webhook deliveries". The older `X-Hub-Signature: sha1=` is sent too, and never
accepted instead. The event's name and the delivery's id are in headers, which are not signed:

* The event's id is made of the name and a digest of the body. A captured delivery is not applied again under a new
  `X-GitHub-Delivery`; a redelivery has the same body.
* The id has the name, because two events of different names may have the same body. So a captured delivery can be
  replayed once under each other name: of `types`, the events you subscribe to, or of those that GitHub documents. Any
  other name is `unknown`. The `action`, which is in the body, cannot be changed.

A body is JSON, or a form with `payload=<JSON>`, depending on the webhook's settings. An unreadable body is accepted;
the event is then about itself.
"""

import json
from typing import Any, ClassVar
from urllib.parse import parse_qs

from providers.base import BODY_BYTES_LARGE, ParsedEvent, Request, SourceSettings
from providers.github_events import EVENTS
from providers.models import Model
from providers.payload import digest_id, first_id, get_path, header_text
from providers.raw_body import RawBody, Scheme
from providers.unsigned_types import TYPE_UNKNOWN, TypesSettings, listed_type

DELIVERY = "X-GitHub-Delivery"
NAME = "X-GitHub-Event"

FORM = b"payload="


class _Event(Model):
    action: Any = None
    sponsorship: Any = None
    marketplace_purchase: Any = None
    repository: Any = None


class GitHub(RawBody):
    """GitHub's events, one per request."""

    name: ClassVar[str] = "github"
    body_bytes_max: ClassVar[int] = BODY_BYTES_LARGE
    Source: ClassVar[type[SourceSettings]] = TypesSettings
    scheme: ClassVar[Scheme] = Scheme(header="X-Hub-Signature-256", prefix=b"sha256=")

    def __init__(self, settings: TypesSettings) -> None:
        super().__init__(settings)
        self._names = EVENTS if settings.types is None else frozenset(settings.types)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. It has no time."""
        event = _read(request.body)
        name = listed_type(request, (NAME,), self._names)
        event_id = f"{name}:{digest_id(request.body)}"
        kept = (DELIVERY, NAME) if name == TYPE_UNKNOWN else (DELIVERY,)
        headers = {each.lower(): header_text(request, each) for each in kept}
        return [
            ParsedEvent(
                event_id=event_id,
                type=f"{name}.{event.action}" if isinstance(event.action, str) and event.action else name,
                resource=_resource(event) or event_id,
                occurred_at=None,
                headers={each: text for each, text in headers.items() if text},
            )
        ]


def _read(body: bytes) -> _Event:
    """Return the event of a JSON or form body, without any fields where it is unreadable."""
    try:
        text = parse_qs(body.decode())["payload"][0] if body.startswith(FORM) else body.decode()
        return _Event.model_validate(json.loads(text))  # pydantic's own JSON reader refuses lone surrogates
    except (ValueError, KeyError, RecursionError):
        return _Event()


def _resource(event: _Event) -> str | None:
    """Return the id of what is paid for, a sponsorship or an account's plan; for other events their repository."""
    return first_id(
        get_path(event.sponsorship, "node_id"),
        get_path(event.marketplace_purchase, "account", "node_id"),
        get_path(event.repository, "full_name"),
    )
