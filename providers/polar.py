"""Polar: Standard Webhooks, but the key is the UTF-8 text of the whole secret, which is not base64.

Source: the sender's code, github.com/polarsource/polar, server/polar/webhook/tasks.py: it signs with the reference
library, to which it passes the base64 of the secret's text. A `standard_webhooks` source would refuse every request.
"""

from typing import ClassVar

from providers.base import SourceSettings, TimedSettings
from providers.payload import get_path
from providers.standard_webhooks import Key, StandardWebhooks


class Polar(StandardWebhooks):
    """Polar's events, one per request."""

    name: ClassVar[str] = "polar"
    Source: ClassVar[type[SourceSettings]] = TimedSettings

    def _keys(self, settings: TimedSettings) -> list[Key]:
        return [secret.reveal().encode() for secret in settings.secrets]

    def _resource(self, data: object) -> str | None:
        """Return the id of the order. A refund names its order, so their events are processed together."""
        order = get_path(data, "order_id")
        return order if isinstance(order, str) and order else super()._resource(data)
