"""The rows that must result from what happened to a payment, computed from no event and with none of our code.

The generators in `tests/support/stories/` know what happened, express it in their provider's events, and give the same
history to this model.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Rows: TypeAlias = list[tuple[object, ...]]
Move: TypeAlias = tuple[str, tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Capture:
    """Money that was taken from the customer. `failed`: it did not come after all."""

    id: str
    amount: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that went back to the customer. `failed`: it came back to the merchant after all."""

    id: str
    amount: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Dispute:
    """`taken`: how often the provider took the disputed money; `returned`: how often it gave it back."""

    id: str
    amount: int
    end: Literal["open", "won", "lost"] = "open"
    taken: int = 0
    returned: int = 0


@dataclass(slots=True)
class Life:
    """Everything that happened to one payment, and the little that the merchant's choice of events kept from us."""

    payment_id: str
    currency: str
    amount: int
    """The most that was ever asked of the customer."""
    authorized: bool = False
    refused: bool = False
    canceled: bool = False
    captures: list[Capture] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    refunds_are_named: bool = True
    """Whether the provider reports each refund, or only the sum of all."""

    @property
    def captured(self) -> int:
        return sum(capture.amount for capture in self.captures if not capture.failed)

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds if not refund.failed)

    @property
    def disputed(self) -> int:
        return sum(dispute.amount for dispute in self.disputes if dispute.end != "won")

    @property
    def status(self) -> str:
        """How a person would say that the payment stands."""
        if self.disputed:
            return "charged_back" if any(dispute.end == "lost" for dispute in self.disputes) else "disputed"
        if self.refunded:
            return "refunded" if self.refunded >= self.captured else "partially_refunded"
        if any(not capture.failed for capture in self.captures):
            return "succeeded"
        if self.canceled:
            return "canceled"
        if self.captures or (self.refused and not self.authorized):
            return "failed"
        return "authorized" if self.authorized else "pending"


PROVIDER, MERCHANT, DISPUTES = "provider:{}", "merchant", "disputes"


def payments(lives: Iterable[Life]) -> Rows:
    """Payment, status, currency, amount, captured, refunded, disputed."""
    return sorted(
        (life.payment_id, life.status, life.currency, life.amount, life.captured, life.refunded, life.disputed)
        for life in lives
    )


def disputes(lives: Iterable[Life]) -> Rows:
    """Payment, dispute, currency, amount, how it ended."""
    return sorted(
        (life.payment_id, dispute.id, life.currency, dispute.amount, dispute.end)
        for life in lives
        for dispute in life.disputes
    )


def transfers(lives: Iterable[Life], source: str) -> Rows:
    """Movement, payment, from, to, amount, currency: once for each time that money moved."""
    provider = PROVIDER.format(source)
    return sorted(
        (name, life.payment_id, *accounts, amount, life.currency)
        for life in lives
        for name, accounts, amount in (*_of_captures(life, provider), *_of_refunds(life, provider),
                                       *_of_disputes(life, provider))
        if amount
    )  # fmt: skip


def _of_captures(life: Life, provider: str) -> Iterator[Move]:
    for capture in life.captures:
        yield f"capture:{capture.id}", (provider, MERCHANT), capture.amount
        if capture.failed:
            yield f"capture_failed:{capture.id}", (MERCHANT, provider), capture.amount


def _of_refunds(life: Life, provider: str) -> Iterator[Move]:
    for refund in life.refunds if life.refunds_are_named else ():
        yield f"refund:{refund.id}", (MERCHANT, provider), refund.amount
        if refund.failed:
            yield f"refund_failed:{refund.id}", (provider, MERCHANT), refund.amount


def _of_disputes(life: Life, provider: str) -> Iterator[Move]:
    for dispute in life.disputes:
        for number in range(1, dispute.taken + 1):
            name = dispute.id if number == 1 else f"{dispute.id}:{number}"
            yield f"dispute:{name}", (DISPUTES, provider), dispute.amount
            if number <= dispute.returned:
                yield f"dispute_reinstated:{name}", (provider, DISPUTES), dispute.amount


def balances(lives: Iterable[Life], source: str) -> Rows:
    """Account, currency, balance: what came in less what went out."""
    sums: Counter[tuple[str, str]] = Counter()
    provider = PROVIDER.format(source)
    for life in lives:
        sent_back = life.refunded if life.refunds_are_named else 0
        held = sum(dispute.amount * (dispute.taken - dispute.returned) for dispute in life.disputes)
        sums[MERCHANT, life.currency] += life.captured - sent_back
        sums[DISPUTES, life.currency] -= held
        sums[provider, life.currency] += held + sent_back - life.captured
    touched = {(account, row[5]) for row in transfers(lives, source) for account in (row[2], row[3])}
    return sorted((*key, sums[key]) for key in touched)  # type: ignore[index] # both are text
