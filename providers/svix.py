"""Svix: Standard Webhooks under its older names `svix-id`, `svix-timestamp`, `svix-signature`.

Source: docs.svix.com, "Verifying webhooks manually". Those who send through Svix may have been switched to the names of
the specification, so these are read too; a request with a `svix-signature` is judged by the `svix-` headers alone.
Names of both kinds in one request are not mixed, as Svix's own library would: nobody sends that.
"""

from typing import ClassVar

from providers.standard_webhooks import StandardWebhooks


class Svix(StandardWebhooks):
    """Events of any sender that sends through Svix, one a request."""

    name: ClassVar[str] = "svix"
    prefixes: ClassVar[tuple[str, ...]] = ("svix-", "webhook-")
