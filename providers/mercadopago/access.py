"""What a program needs to ask Mercado Pago's API: an access token, and what of the account is booked."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from providers.api_access import KeyAccess
from providers.mercadopago.models import MoneyFrom

_TOKEN = re.compile(r"(?P<kind>APP_USR|TEST)-\S+-(?P<account>[0-9]{1,20})")

SITES: Mapping[str, str] = {
    "MLA": "ARS", "MLB": "BRL", "MLC": "CLP", "MCO": "COP", "MLM": "MXN", "MPE": "PEN", "MLU": "UYU",
}  # fmt: skip
"""The currency of an account, by its country's site."""


PAYMENT_TYPES = frozenset({"payment", "payment.created", "payment.updated"})
CHARGEBACK_TYPES = frozenset({"topic_chargebacks_wh", "chargebacks"})
ORDER_TYPE = "order"
"""An order's notifications have this type, or begin with it and a point."""


class MercadoPagoAccess(KeyAccess):
    """Its access token, and those of the source's settings that say what is booked."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    money_from: MoneyFrom | None = None

    @model_validator(mode="after")
    def _token_is_of_the_mode(self) -> "MercadoPagoAccess":
        """Refuse what is no access token. Test users have tokens that look like live ones."""
        token = _TOKEN.fullmatch(self.api_key.reveal())
        if token is None:
            raise ValueError("api_key is no access token, such as APP_USR-…, that ends in the account's number")
        if token["kind"] == "TEST" and self.mode == "live":
            raise ValueError("api_key is a token of test credentials (TEST-…), and the source's mode is live")
        return self

    @property
    def account(self) -> str:
        """The number of the account that the token is for."""
        return self.api_key.reveal().rpartition("-")[2]

    @property
    def books_orders(self) -> bool:
        """Whether the money of a sale is booked under its order's id, and not under its payment's."""
        return self.money_from != "payments"

    def asked_of(self, type_: str) -> str | None:
        """Return which kind of object a notification is about, of those whose money is booked; None for another."""
        if self.books_orders:
            return "order" if type_.partition(".")[0] == ORDER_TYPE else None
        if type_ in CHARGEBACK_TYPES:
            return "chargeback"
        return "payment" if type_ in PAYMENT_TYPES else None
