"""Mollie's payments, refunds and chargebacks, as its API says they are.

Sources: docs.mollie.com/reference/get-payment, list-all-refunds, list-all-chargebacks. The objects are those of its
webhooks, and their names are the same, so that what was delivered and what was fetched is one transfer.

* A payment stays `paid` when it is refunded or charged back. It is `paid` after its first capture, too.
* `amountRefunded` counts refunds that have not left yet, and is not read: only a refund that is `refunded` or has
  `failed` has moved money.
* A chargeback has no status. It is won once it has a time of its reversal.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from contract.event import Event
from contract.facts import Fact, Kind
from contract.money import minor_units
from providers.complete import read_complete_json
from providers.facts import IncompleteError
from providers.mollie.models import FETCHED_CHARGEBACK, FETCHED_PAYMENT, FETCHED_REFUND, Entity, Part, Payment

_STATES: Mapping[str, Kind] = {
    "pending": "pending",
    "authorized": "authorized",
    "failed": "failed",
    "canceled": "canceled",
    "expired": "canceled",
}

_REFUNDS: Mapping[str | None, Kind] = {"refunded": "refunded", "failed": "refund_failed"}


def extract_facts(event: Event) -> Sequence[Fact]:
    """Return the facts about what the API said. Those about another payment than the event's resource name it."""
    extract = TYPES.get(event.type) if event.signed == "api" else None
    return extract(event) if extract else ()


def _payment_facts(event: Event) -> list[Fact]:
    payment = read_complete_json(Payment, event.body)
    about = "" if payment.id == event.resource else payment.id
    parts = payment.embedded
    return [
        *_money(payment, about),
        *(fact for refund in parts.refunds for fact in _refund(refund, about)),
        *(fact for chargeback in parts.chargebacks for fact in _chargeback(chargeback, about)),
    ]


def _money(payment: Payment, about: str) -> Iterator[Fact]:
    """Return the payment's state and its captures: those that are listed, or one of the whole.

    One of the whole gives way if its parts are reported after all, so that it is right where Mollie lists none.
    """
    captures = payment.embedded.captures
    if payment.status in _STATES:
        yield _fact(_STATES[payment.status], payment, "", about)
    elif payment.status == "paid" and not captures:
        if payment.has_captures and payment.amount_captured != payment.amount:
            raise IncompleteError("the payment was captured in parts, and none of them is listed")
        yield _captured(payment, about)
    elif payment.status == "paid":
        yield _fact("authorized", payment, "", about)
    for capture in captures:
        if capture.status == "succeeded":
            yield _captured(capture, about)


def _captured(entity: Entity | Part, about: str) -> Fact:
    return replace(_fact("captured", entity, entity.id, about), either_whole_or_parts=True)


def _refund(refund: Part, about: str) -> Iterator[Fact]:
    if kind := _REFUNDS.get(refund.status):
        yield _fact(kind, refund, refund.id, about)


def _chargeback(chargeback: Part, about: str) -> Iterator[Fact]:
    kinds: tuple[Kind, ...] = ("dispute_opened", "funds_withdrawn")
    if chargeback.reversed_at:
        kinds = ("dispute_won", "funds_withdrawn", "funds_reinstated")
    for kind in kinds:
        yield _fact(kind, chargeback, chargeback.id, about)


def _fact(kind: Kind, entity: Entity | Part, object_: str, about: str) -> Fact:
    amount = entity.amount
    if amount is None:
        raise IncompleteError(f"{entity.id} has no amount")
    return Fact(kind, minor_units(amount.value, amount.currency), amount.currency, object_, payment=about)


def _part_facts(read: Callable[[Part, str], Iterator[Fact]]) -> Callable[[Event], list[Fact]]:
    """Return what reads an object of a list, whose event is about its payment."""
    return lambda event: list(read(read_complete_json(Part, event.body), ""))


TYPES: Mapping[str, Callable[[Event], Sequence[Fact]]] = {
    FETCHED_PAYMENT: _payment_facts,
    FETCHED_REFUND: _part_facts(_refund),
    FETCHED_CHARGEBACK: _part_facts(_chargeback),
}
"""What the API said, by its type. None of them is ever delivered."""
