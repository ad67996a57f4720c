"""Payment facts: what an event of any provider can report about a payment."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "pending",
    "authorized",
    "captured",
    "capture_failed",
    "failed",
    "canceled",
    "refunded",
    "refunded_total",
    "refund_failed",
    "dispute_opened",
    "dispute_won",
    "dispute_lost",
    "funds_withdrawn",
    "funds_reinstated",
]
"""`pending`, `authorized`, `failed`, `canceled`: the payment's state, and its amount.

`captured`, `refunded`: money moved. `object` names the transfer, so that another event about it reports the same fact.
`capture_failed`, `refund_failed`: the transfer `object` was reversed, which implies that it was made before.
`refunded_total`: the sum of all refunds so far, from providers that report sums. It makes no transfer.
`dispute_opened`, `_won`, `_lost`: the state of the dispute `object`; `funds_withdrawn`, `_reinstated`: its money.
"""

KINDS: frozenset[str] = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing an event reports about its payment. `amount` is in minor units of `currency` (ISO 4217).

    `object` is the id of the capture, refund or dispute, unique among those of its kind in the event's namespace: it
    alone identifies transfers and disputes. It is "" if the fact is about the payment itself.
    """

    kind: Kind
    amount: int
    currency: str
    object: str = ""
