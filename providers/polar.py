"""Polar: Standard Webhooks, but the key is the UTF-8 text of the whole secret, which is not base64.

Source: the sender itself, github.com/polarsource/polar, server/polar/webhook/tasks.py: it signs with the reference
library, to which it gives base64 of the secret's text. A plain Standard Webhooks source would refuse everything.
"""

from typing import ClassVar

from providers.base import SourceSettings, TimedSettings
from providers.payload import get_path
from providers.standard_webhooks import Key, StandardWebhooks


class Polar(StandardWebhooks):
    """Polar's events, one a request."""

    name: ClassVar[str] = "polar"
    Source: ClassVar[type[SourceSettings]] = TimedSettings

    def _keys(self, settings: TimedSettings) -> list[Key]:
        return [secret.reveal().encode() for secret in settings.secrets]

    def _resource(self, data: object) -> str | None:
        """The order, which is what was paid: a refund names it, so that it locks and merges with its order."""
        order = get_path(data, "order_id")
        return order if isinstance(order, str) and order else super()._resource(data)
