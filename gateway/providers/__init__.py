"""The providers: one file each, and the one list of them."""

from gateway.providers.base import Provider
from gateway.providers.generic_hmac import GenericHmac
from gateway.providers.standard_webhooks import StandardWebhooks
from gateway.providers.stripe import Stripe

PROVIDERS: dict[str, type[Provider]] = {
    provider.name: provider
    for provider in (
        Stripe,
        StandardWebhooks,
        GenericHmac,
    )
}
"""What `provider = ` in sources.toml may say."""
