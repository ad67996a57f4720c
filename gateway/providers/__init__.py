"""The providers: one file each, and the one list of them."""

from gateway.providers.adyen import Adyen
from gateway.providers.adyen_platform import AdyenPlatform
from gateway.providers.base import Provider
from gateway.providers.braintree import Braintree
from gateway.providers.checkout import Checkout
from gateway.providers.coinbase import Coinbase
from gateway.providers.flutterwave import Flutterwave
from gateway.providers.flutterwave_v3 import FlutterwaveV3
from gateway.providers.generic_hmac import GenericHmac
from gateway.providers.github import GitHub
from gateway.providers.gocardless import GoCardless
from gateway.providers.klarna import Klarna
from gateway.providers.lemonsqueezy import LemonSqueezy
from gateway.providers.mercadopago import MercadoPago
from gateway.providers.mollie import Mollie
from gateway.providers.paddle import Paddle
from gateway.providers.pagarme import Pagarme
from gateway.providers.pagbank import PagBank
from gateway.providers.paypal import PayPal
from gateway.providers.paystack import Paystack
from gateway.providers.polar import Polar
from gateway.providers.razorpay import Razorpay
from gateway.providers.shopify import Shopify
from gateway.providers.square import Square
from gateway.providers.standard_webhooks import StandardWebhooks
from gateway.providers.stripe import Stripe
from gateway.providers.svix import Svix
from gateway.providers.truelayer import TrueLayer
from gateway.providers.wise import Wise

PROVIDERS: dict[str, type[Provider]] = {
    provider.name: provider
    for provider in (
        Stripe,
        StandardWebhooks,
        Svix,
        Polar,
        Paddle,
        Coinbase,
        Adyen,
        AdyenPlatform,
        Square,
        MercadoPago,
        Braintree,
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
        PayPal,
        Wise,
        TrueLayer,
    )
}
"""What `provider = ` in sources.toml may say."""
