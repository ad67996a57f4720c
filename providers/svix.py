"""Svix: Standard Webhooks under its older names `svix-id`, `svix-timestamp`, `svix-signature`.

Source: docs.svix.com, "Verifying webhooks manually". Senders that use Svix may have switched to the names of the
specification, so both are read. If there is a `svix-signature`, only the `svix-` headers count. Names of both kinds are
not mixed within a request, although Svix's own library would; no sender does that.
"""

from typing import ClassVar

from providers.standard_webhooks import StandardWebhooks


class Svix(StandardWebhooks):
    """Events of any sender that uses Svix, one per request."""

    name: ClassVar[str] = "svix"
    prefixes: ClassVar[tuple[str, ...]] = ("svix-", "webhook-")
