"""GitHub: `X-Hub-Signature-256: sha256=<hex HMAC-SHA256 of the body>`.

Source: docs.github.com, "Validating webhook deliveries". The older `X-Hub-Signature: sha1=` is sent besides, and never
accepted in its place. The name of the event and the delivery's id are in headers that are not signed:

* The event's id is made of the name and the body, so that a captured delivery is not applied again under a new
  `X-GitHub-Delivery`. A redelivery has the same body.
* The name is part of it, since two events of different names may have one body. Whoever captured a delivery could thus
  name it otherwise; the `action`, which is in the body, stays.

A body may be JSON or a form with `payload=<JSON>`, as the webhook is set up; what cannot be read is about itself.
"""

import json
from typing import ClassVar
from urllib.parse import parse_qs

from providers.base import ParsedEvent, Request
from providers.payload import digest_id, first_id, get_path, header_text
from providers.raw_body import RawBody, Scheme

DELIVERY = "X-GitHub-Delivery"
NAME = "X-GitHub-Event"

NAME_UNKNOWN = "unknown"


class GitHub(RawBody):
    """GitHub's events, one a request."""

    name: ClassVar[str] = "github"
    scheme: ClassVar[Scheme] = Scheme(header="X-Hub-Signature-256", prefix=b"sha256=")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """The one event. It has no time of its own."""
        event = _read(request.body)
        name = header_text(request, NAME) or NAME_UNKNOWN
        event_id = f"{name}:{digest_id(request.body)}"
        action = get_path(event, "action")
        delivery = header_text(request, DELIVERY)
        return [
            ParsedEvent(
                event_id=event_id,
                type=f"{name}.{action}" if isinstance(action, str) and action else name,
                resource=_resource(event) or event_id,
                occurred_at=None,
                headers={DELIVERY.lower(): delivery} if delivery else {},
            )
        ]


def _read(body: bytes) -> object:
    try:
        text = body.decode()
        return json.loads(parse_qs(text)["payload"][0] if text.startswith("payload=") else text)
    except (ValueError, KeyError, RecursionError):
        return None


def _resource(event: object) -> str | None:
    """What is paid for, a sponsorship or an account's plan; for the other events their repository."""
    return first_id(
        get_path(event, "sponsorship", "node_id"),
        get_path(event, "marketplace_purchase", "account", "node_id"),
        get_path(event, "repository", "full_name"),
    )
