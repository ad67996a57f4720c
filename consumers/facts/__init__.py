"""What events tell about payments: one reader per provider, each with everything odd about that provider inside it."""

from collections.abc import Mapping

from consumers.facts import (
    adyen,
    braintree,
    checkout,
    in_house,
    mercadopago,
    mollie,
    paddle,
    paypal,
    paystack,
    razorpay,
    square,
    stripe,
)
from consumers.facts.base import Read

READERS: Mapping[str, Read] = {
    "stripe": stripe.read,
    "paypal": paypal.read,
    "adyen": adyen.read,
    "square": square.read,
    "braintree": braintree.read,
    "razorpay": razorpay.read,
    "checkout": checkout.read,
    "mollie": mollie.read,
    "paddle": paddle.read,
    "paystack": paystack.read,
    "mercadopago": mercadopago.read,
    "hmac": in_house.read,
}
"""The one list, by the provider's name. Events of all other providers are recorded, and move no money."""
