"""The providers, each in one place, and the one list of them.

A provider whose events are only recorded is one file. One that reports money is a package of three:

* `models.py` describes its bodies, once. `Event` is what any event has: its identity is read leniently, so that an
  unknown type or an odd optional field is still accepted and recorded (`Any`, `Lenient[...]`). For each object that
  money is read from, a subclass of `Event` narrows that object to a strict model (`class PaymentEvent(Event): data:
  Payment`, with `Id`, `Currency`, `MinorUnits` or `MajorUnits` of `providers.models`).
* `webhook.py` proves the signature and reads an `Event`: id, type, resource, time. It runs for every request.
* `facts.py` has `TYPES`, the types that report money, and `extract_facts(event)`, which reads the narrowed model.
"""

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
from providers.facts import ExtractFacts
from providers.flutterwave import Flutterwave
from providers.flutterwave_v3 import facts as flutterwave_v3_facts
from providers.flutterwave_v3.webhook import FlutterwaveV3
from providers.generic_hmac import facts as generic_hmac_facts
from providers.generic_hmac.webhook import GenericHmac
from providers.github import GitHub
from providers.gocardless import facts as gocardless_facts
from providers.gocardless.webhook import GoCardless
from providers.klarna import Klarna
from providers.lemonsqueezy import LemonSqueezy
from providers.mercadopago import facts as mercadopago_facts
from providers.mercadopago.webhook import MercadoPago
from providers.mollie import facts as mollie_facts
from providers.mollie import fetched as mollie_fetched
from providers.mollie.classic import MollieClassic
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
        MollieClassic,
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
"""The providers by name: the values of `provider =` in sources.toml."""

PROVIDERS_WITH_MODE = frozenset(
    {"stripe", "paypal", "adyen", "checkout", "mollie", "paddle", "paystack", "mercadopago"}
)  # fmt: skip
"""The providers whose events say whether they are of live or test mode, or some of them (`ParsedEvent.mode`)."""

FACT_EXTRACTORS: Mapping[str, ExtractFacts] = {
    "stripe": stripe_facts.extract_facts,
    "paypal": paypal_facts.extract_facts,
    "adyen": adyen_facts.extract_facts,
    "square": square_facts.extract_facts,
    "braintree": braintree_facts.extract_facts,
    "razorpay": razorpay_facts.extract_facts,
    "checkout": checkout_facts.extract_facts,
    "mollie": mollie_facts.extract_facts,
    "mollie_classic": mollie_fetched.extract_facts,
    "paddle": paddle_facts.extract_facts,
    "gocardless": gocardless_facts.extract_facts,
    "paystack": paystack_facts.extract_facts,
    "mercadopago": mercadopago_facts.extract_facts,
    "flutterwave_v3": flutterwave_v3_facts.extract_facts,
    "hmac": generic_hmac_facts.extract_facts,
}
"""The extractors of facts by the provider's name. Events of all other providers are recorded, and move no money."""
