"""Paddle's entities, as its events carry them (developer.paddle.com/webhooks).

The gateway reads `AnyEvent`, which accepts every type of event. The facts are read with `PaddleEvent[Transaction]` and
`PaddleEvent[Adjustment]`, which hold amounts to their types.
"""

import re
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator, StringConstraints

from providers.facts import IncompleteError
from providers.models import Currency, Id, Lenient, MinorUnits, Model

EntityT = TypeVar("EntityT")

_DIGITS = re.compile(r"[0-9]{1,19}")


def _from_digits(text: object) -> int:
    """Accept only text of digits."""
    if not isinstance(text, str) or not _DIGITS.fullmatch(text):
        raise ValueError("not digits as text")
    return int(text)


Amount = Annotated[MinorUnits, BeforeValidator(_from_digits)]
"""An amount in the lowest denomination of the currency, written as text."""

TransactionId = Annotated[Id, StringConstraints(max_length=200)]
"""Short enough for a suffix. Paddle's own ids have 30 characters."""


class AnyEntity(Model):
    """An entity of any kind. Adjustments and subscriptions name a transaction."""

    id: Any = None
    transaction_id: Any = None


class AnyEvent(Model):
    """An event of any type. `notification_id` is not read: it differs per destination and replay."""

    event_id: str
    event_type: str
    occurred_at: str
    data: Lenient[AnyEntity] = None


class PaddleEvent(Model, Generic[EntityT]):
    """An event whose kind of entity is known."""

    data: EntityT


class TransactionTotals(Model):
    """The totals of a transaction. `grand_total` is null until it is calculated (paddle-python-sdk)."""

    grand_total: Amount | None = None
    total: Amount | None = None
    credit: Amount | None = None

    @property
    def due(self) -> int:
        """What the customer pays: the total less credits. Raise IncompleteError where that is unknown."""
        if self.grand_total is not None:
            return self.grand_total
        if self.total is None:
            raise IncompleteError("the transaction has neither a grand total nor a total")
        return max(0, self.total - (self.credit or 0))


class Details(Model):
    """The calculated totals of a transaction."""

    totals: TransactionTotals


class Transaction(Model):
    """A payment."""

    id: Id
    currency_code: Currency
    details: Details


class Totals(Model):
    """The totals of an adjustment."""

    total: Amount


class Adjustment(Model):
    """A refund, credit or chargeback of a transaction."""

    id: Id
    action: str
    status: str
    transaction_id: TransactionId
    currency_code: Currency
    totals: Totals


# Named once, because pydantic looks a parametrised model up whenever it is written with brackets.
AdjustmentEvent = PaddleEvent[Adjustment]
TransactionEvent = PaddleEvent[Transaction]
