"""The providers: one file each, and the one list of them."""

from gateway.providers.base import Provider
from gateway.providers.checkout import Checkout
from gateway.providers.flutterwave import Flutterwave
from gateway.providers.flutterwave_v3 import FlutterwaveV3
from gateway.providers.generic_hmac import GenericHmac
from gateway.providers.github import GitHub
from gateway.providers.gocardless import GoCardless
from gateway.providers.klarna import Klarna
from gateway.providers.lemonsqueezy import LemonSqueezy
from gateway.providers.mollie import Mollie
from gateway.providers.pagarme import Pagarme
from gateway.providers.pagbank import PagBank
from gateway.providers.paystack import Paystack
from gateway.providers.razorpay import Razorpay
from gateway.providers.shopify import Shopify
from gateway.providers.standard_webhooks import StandardWebhooks
from gateway.providers.stripe import Stripe

PROVIDERS: dict[str, type[Provider]] = {
    provider.name: provider
    for provider in (
        Stripe,
        StandardWebhooks,
        GenericHmac,
        GitHub,
        Checkout,
        Shopify,
        Razorpay,
        Mollie,
        GoCardless,
        Paystack,
        LemonSqueezy,
        Flutterwave,
        FlutterwaveV3,
        Klarna,
        PagBank,
        Pagarme,
    )
}
"""What `provider = ` in sources.toml may say."""
