"""The vocabulary of money: what an event of any provider can say about a payment."""

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
"""`pending`, `authorized`, `failed`, `canceled`: how far the payment came, and the amount it is for.

`captured`, `refunded`: money moved; `object` names the movement, so that another event about it tells the same thing.
`capture_failed`, `refund_failed`: the movement `object` was undone, and so was made before.
`refunded_total`: all refunds so far, where a provider adds them up; it moves nothing, for what moved has no name.
`dispute_opened`, `_won`, `_lost`: what became of the dispute `object`; `funds_withdrawn`, `_reinstated`: its money.
"""

KINDS: frozenset[str] = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing an event tells about the payment it is about. `amount` is in minor units of `currency` (ISO 4217).

    `object` is the id of the capture, refund or dispute, unique among all of its kind in the event's namespace; the
    movements and disputes are told apart by it alone. It is "" for what is about the payment itself.
    """

    kind: Kind
    amount: int
    currency: str
    object: str = ""
