"""The providers, each in one place, and the one list of them."""

from collections.abc import Mapping

from providers.adyen import facts as adyen_facts
from providers.adyen.webhook import Adyen
from providers.adyen_platform import AdyenPlatform
from providers.base import Provider
from providers.braintree import facts as braintree_facts
from providers.braintree.webhook import Braintree
from providers.checkout import facts as checkout_facts
from providers.checkout.webhook import Checkout
from providers.coinbase import Coinbase
from providers.facts import Read
from providers.flutterwave import Flutterwave
from providers.flutterwave_v3 import FlutterwaveV3
from providers.generic_hmac import facts as generic_hmac_facts
from providers.generic_hmac.webhook import GenericHmac
from providers.github import GitHub
from providers.gocardless import GoCardless
from providers.klarna import Klarna
from providers.lemonsqueezy import LemonSqueezy
from providers.mercadopago import facts as mercadopago_facts
from providers.mercadopago.webhook import MercadoPago
from providers.mollie import facts as mollie_facts
from providers.mollie.webhook import Mollie
from providers.paddle import facts as paddle_facts
from providers.paddle.webhook import Paddle
from providers.pagarme import Pagarme
from providers.pagbank import PagBank
from providers.paypal import facts as paypal_facts
from providers.paypal.webhook import PayPal
from providers.paystack import facts as paystack_facts
from providers.paystack.webhook import Paystack
from providers.polar import Polar
from providers.razorpay import facts as razorpay_facts
from providers.razorpay.webhook import Razorpay
from providers.shopify import Shopify
from providers.square import facts as square_facts
from providers.square.webhook import Square
from providers.standard_webhooks import StandardWebhooks
from providers.stripe import facts as stripe_facts
from providers.stripe.webhook import Stripe
from providers.svix import Svix
from providers.truelayer import TrueLayer
from providers.wise import Wise

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

READERS: Mapping[str, Read] = {
    "stripe": stripe_facts.read,
    "paypal": paypal_facts.read,
    "adyen": adyen_facts.read,
    "square": square_facts.read,
    "braintree": braintree_facts.read,
    "razorpay": razorpay_facts.read,
    "checkout": checkout_facts.read,
    "mollie": mollie_facts.read,
    "paddle": paddle_facts.read,
    "paystack": paystack_facts.read,
    "mercadopago": mercadopago_facts.read,
    "hmac": generic_hmac_facts.read,
}
"""The one list, by the provider's name. Events of all other providers are recorded, and move no money."""
