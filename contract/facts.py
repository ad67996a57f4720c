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
`dispute_opened`, `_won`, `_lost`: the state of the dispute `object`, and the amount that the customer claims.
`funds_withdrawn`, `_reinstated`: the provider took money for a dispute, or gave some back. `object` names the transfer,
`dispute` the dispute. One dispute may have several of both, of any amounts, and none implies another.
"""

KINDS: frozenset[str] = frozenset(get_args(Kind))

ABOUT_THE_PAYMENT: frozenset[Kind] = frozenset({"pending", "authorized", "failed", "canceled", "refunded_total"})
"""Facts about the payment as a whole."""

DISPUTE_STATES: frozenset[Kind] = frozenset({"dispute_opened", "dispute_won", "dispute_lost"})
DISPUTE_TRANSFERS: frozenset[Kind] = frozenset({"funds_withdrawn", "funds_reinstated"})
DISPUTE_KINDS: frozenset[Kind] = DISPUTE_STATES | DISPUTE_TRANSFERS
"""Facts about a dispute. Their currency may differ from their payment's."""

HeldBy = Literal["provider", "merchant"]
"""Who received the money of a capture: `merchant` if it never passed through the provider (cash, another processor)."""


@dataclass(slots=True, unsafe_hash=True)
class Fact:
    """One thing an event reports about its payment. `amount` is in minor units of `currency` (ISO 4217).

    `object` is the id of the capture, refund or dispute, or of a transfer for a dispute; unique among those of its kind
    in the event's namespace, it alone identifies them. It is "" if the fact is about the payment itself, except for an
    authorization that was adjusted: `object` is then the adjustment's id, and `amount` the new total.

    `dispute` is the dispute of a withdrawal or reinstatement; "" if `object` is the dispute's own id.
    `payment` is the payment that the fact is about, "" if that is the event's `resource`: a dispute may concern several
    payments.

    `either_whole_or_parts`: its payment has one capture under the payment's own name, or captures with ids of their
    own. If both are reported, they are the same money, and the first does not count.

    Never changed, but not frozen, as `contract.event.Event`.
    """

    kind: Kind
    amount: int
    currency: str
    object: str = ""
    dispute: str = ""
    payment: str = ""
    held_by: HeldBy = "provider"
    either_whole_or_parts: bool = False

    @property
    def dispute_id(self) -> str:
        """The dispute that a fact of DISPUTE_KINDS is about."""
        return self.dispute or self.object
