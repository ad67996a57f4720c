"""Events of recorded requests, for tests of handlers: read as the gateway reads them, without the signature."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.event import Event, Signed
from providers import PROVIDERS
from providers.base import Headers, Request

_NO_SECRET = "00" * 32
"""A placeholder for a source's secrets: nothing is verified here."""


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
    """Return the events of a request, as the gateway would publish them had it been genuine.

    `body`: a file, the bytes, or a JSON object. `source`: its name, the provider's by default. `settings`: those of the
    source, as in sources.toml. Raise PayloadError for a body that the gateway would answer 400.
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
