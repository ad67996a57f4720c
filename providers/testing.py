"""Events of recorded requests, for tests of handlers: read as the gateway reads them, and not verified."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.event import Event, Signed
from providers import PROVIDERS
from providers.base import Headers, Request

_NO_SECRET = "00" * 32
"""Stands for a source's secrets, which nothing is verified with here."""


def recorded(
    provider: str,
    body: Path | bytes | Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    target: str = "/webhooks/recorded",
    source: str | None = None,
    received_at: datetime | None = None,
    signed: Signed = "body",
    **settings: Any,  # noqa: ANN401 - each provider's own
) -> list[Event]:
    """The events of a request, as they would lie in the stream had it been genuine. `body` may be a file or JSON.

    `settings` are those of the source, as in sources.toml; it is named after its provider unless told otherwise.
    Raises PayloadError for a body that the gateway would answer 400.
    """
    kind = PROVIDERS[provider]
    name = source or provider
    values = {"source": name, "provider": provider, "secrets": (_NO_SECRET,), **settings}
    configured = kind(kind.Source.model_validate(values))
    content = body.read_bytes() if isinstance(body, Path) else body
    request = Request(
        "POST",
        target,
        Headers([(name.encode(), value.encode()) for name, value in (headers or {}).items()]),
        content if isinstance(content, bytes) else json.dumps(content).encode(),
        received_at or datetime.now(UTC),
    )
    return [configured.to_event(request, signed, parsed) for parsed in configured.parse(request)]
