"""Adyen's standard webhooks: github.com/Adyen/adyen-openapi, yaml/Webhooks-v1.yaml. An event is one item of a batch."""

from typing import Annotated, Any, Literal

from pydantic import Field

from contract.event import TEXT_CHARS_MAX
from providers.models import Currency, Id, Lenient, MinorUnits, Model

SIGNED_VALUE_MAX = 10**18
"""In minor units, of either sign: no larger amount fits a bigint."""

SECOND_CHARGEBACK_SUFFIX = ":2"
"""Added to a dispute's PSP reference to name its second withdrawal. No PSP reference has a colon."""

NoColon = Annotated[str, Field(pattern="^[^:]*$")]
"""A signed field. A colon in it would let a captured item be split into fields in another way."""


class Amount(Model):
    """The amount as it is signed."""

    value: Annotated[int, Field(ge=-SIGNED_VALUE_MAX, le=SIGNED_VALUE_MAX)] | None = None
    currency: NoColon | None = None


class AdditionalData(Model):
    """The signature, and what CANCEL_OR_REFUND did; none of it is signed."""

    hmac_signature: Lenient[str] = Field(default=None, alias="hmacSignature")
    action: Lenient[str] = Field(default=None, alias="modification.action")


class Item(Model):
    """An event of any code. All fields but the last two are signed."""

    psp_reference: Annotated[NoColon, Field(min_length=1)] = Field(alias="pspReference")
    original_reference: NoColon | None = Field(default=None, alias="originalReference")
    merchant_account_code: NoColon | None = Field(default=None, alias="merchantAccountCode")
    merchant_reference: str | None = Field(default=None, alias="merchantReference")
    amount: Amount | None = None
    event_code: Annotated[NoColon, Field(min_length=1)] = Field(alias="eventCode")
    success: Literal["true", "false"]
    event_date: Any = Field(default=None, alias="eventDate")
    additional_data: Lenient[AdditionalData] = Field(default=None, alias="additionalData")


class Notification(Model):
    """An item with its envelope in the batch."""

    item: Item = Field(alias="NotificationRequestItem")


class Money(Amount):
    """The amount, in minor units of Adyen."""

    value: MinorUnits
    currency: Currency


class MoneyItem(Item):
    """An event that reports money."""

    psp_reference: Annotated[Id, Field(max_length=TEXT_CHARS_MAX - len(SECOND_CHARGEBACK_SUFFIX))] = Field(
        alias="pspReference"
    )
    amount: Money


class MoneyNotification(Notification):
    """An event that reports money, with its envelope in the batch."""

    item: MoneyItem = Field(alias="NotificationRequestItem")
