"""A provider whose requests carry several events, each with its id alone, or none, or what is no event."""

import json

from providers.base import ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings


class MultiEvent(Provider):
    """A sender whose requests are JSON lists of event ids."""

    name = "several"

    async def authenticate(self, request: Request) -> Proof:
        if request.headers.first("x-key") != b"key":
            raise SignatureError("mismatch", "another key")
        return Proof(secret_number=1, signed="body")

    def parse(self, request: Request) -> list[ParsedEvent]:
        try:
            ids = json.loads(request.body)
        except ValueError:
            raise PayloadError("it is not JSON") from None
        if ids == "bug":
            raise ZeroDivisionError("nobody thought of this")
        return [ParsedEvent(event_id=each, type="t", resource="r", occurred_at=None) for each in ids]


def multi_event(kind: type[MultiEvent] = MultiEvent) -> Provider:
    """The source `several`."""
    return kind(SourceSettings.model_validate({"source": "several", "provider": "several", "secrets": ["x"]}))


KEY = {"X-Key": "key"}
