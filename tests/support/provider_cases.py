"""One case per provider: how a genuine request is signed, with code that is not ours wherever a package has some.

Adding a provider means adding a case to `cases/` and to this list; the conformance suite runs over them all.
"""

from collections.abc import Mapping

from tests.support.cases.adyen import AdyenCase, AdyenPlatformCase
from tests.support.cases.base import Case
from tests.support.cases.braintree import BraintreeCase
from tests.support.cases.coinbase import CoinbaseCase
from tests.support.cases.generic_hmac import GenericHmacCase
from tests.support.cases.mercadopago import MercadoPagoCase
from tests.support.cases.mollie_classic import MollieClassicCase
from tests.support.cases.paddle import PaddleCase
from tests.support.cases.public_keys import PayPalCase, TrueLayerCase, WiseCase
from tests.support.cases.raw_body import (
    CheckoutCase,
    FlutterwaveCase,
    FlutterwaveV3Case,
    GitHubCase,
    GoCardlessCase,
    KlarnaCase,
    LemonSqueezyCase,
    MollieCase,
    PagarmeCase,
    PagBankCase,
    PaystackCase,
    RazorpayCase,
    ShopifyCase,
)
from tests.support.cases.square import SquareCase
from tests.support.cases.standard_webhooks import PolarCase, StandardWebhooksCase, SvixCase
from tests.support.cases.stripe import StripeCase

CASES: Mapping[str, Case] = {
    case.provider: case
    for case in (
        StripeCase(),
        StandardWebhooksCase(),
        SvixCase(),
        PolarCase(),
        PaddleCase(),
        CoinbaseCase(),
        AdyenCase(),
        AdyenPlatformCase(),
        SquareCase(),
        MercadoPagoCase(),
        BraintreeCase(),
        GenericHmacCase(),
        GitHubCase(),
        CheckoutCase(),
        ShopifyCase(),
        RazorpayCase(),
        MollieCase(),
        MollieClassicCase(),
        GoCardlessCase(),
        PaystackCase(),
        LemonSqueezyCase(),
        FlutterwaveCase(),
        FlutterwaveV3Case(),
        KlarnaCase(),
        PagBankCase(),
        PagarmeCase(),
        PayPalCase(),
        WiseCase(),
        TrueLayerCase(),
    )
}
