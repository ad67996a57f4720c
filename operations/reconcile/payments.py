"""Comparing what a provider says about payments with the books: it lists no events that could be compared by their ids.

A movement of money is the same if it has the same name, amount and currency, whatever event reported it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contract.event import Event
from contract.facts import DISPUTE_STATES, Fact
from ledger.transfers import IMPLIES, TRANSFER_RULES, by_payment
from operations.reconcile.differences import money, read_facts
from operations.reconcile.store import Difference
from providers.api import Api, ApiUnexpectedError, Listed, to_event
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

RECONCILE = load("reconcile")

SAYS_NOTHING = "the books have nothing of it"

_DISPUTE_COLUMNS = {"dispute_opened": "opened", "dispute_won": "won", "dispute_lost": "lost"}


@dataclass(frozen=True, slots=True)
class Booked:
    """What the books have of some payments: rows by movement, payment and dispute."""

    transfers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    payments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    disputes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Books:
    """The books of one namespace, as a source's payments are compared with them."""

    def __init__(self, connection: "Connection", api: Api) -> None:
        self._connection = connection
        self._api = api
        self.has_any = False
        """Whether the books have any of the payments that were looked up."""

    async def find(self, page: Sequence[Listed]) -> list[Difference]:
        """Return what differs: `missing` what is not booked, `different` what is booked with other money.

        What cannot be read is marked so, and is in neither.
        """
        reported = [each for listed in page if not listed.unreadable and (each := self._report(listed))]
        booked = await self._read(reported)
        self.has_any = self.has_any or bool(booked.transfers or booked.payments or booked.disputes)
        found = [find_difference(event, facts, booked) for event, facts in reported]
        return [difference for difference in found if difference]

    def _report(self, listed: Listed) -> tuple[Event, Sequence[Fact]] | None:
        """Return an object as an event, and what it says about money; None if that is nothing, or cannot be read."""
        try:
            event = to_event(self._api.access, self._api.name, listed, datetime.now(UTC), "reconcile")
        except ApiUnexpectedError as error:
            listed.unreadable = str(error)
            return None
        facts = read_facts(event)
        if facts is None:
            listed.unreadable = "what it says about money is not as the provider documents it"
        return (event, list(_with_implied(facts))) if facts else None

    async def _read(self, reported: Sequence[tuple[Event, Sequence[Fact]]]) -> Booked:
        movements = [_movement(fact) for _, facts in reported for fact in facts if fact.kind in TRANSFER_RULES]
        payments = [about.resource for event, facts in reported for about, _ in by_payment(event, facts)]
        disputes = [fact.dispute_id for _, facts in reported for fact in facts if fact.kind in DISPUTE_STATES]
        return Booked(
            await self._rows("find_transfers", movement=movements),
            await self._rows("find_payments", payment_id=payments),
            await self._rows("find_disputes", dispute_id=disputes) if disputes else {},
        )

    async def _rows(self, query: str, **names: list[str]) -> dict[str, Mapping[str, Any]]:
        ((column, values),) = names.items()
        rows = await self._connection.fetch(
            *RECONCILE.bind(query, namespace=self._api.access.namespace, **{column: list(dict.fromkeys(values))})
        )
        return {row[column]: row for row in rows}


def find_difference(event: Event, facts: Sequence[Fact], booked: Booked) -> Difference | None:
    """Return how what the provider says about a payment differs from the books; None if they agree.

    What the books have beyond that is no difference: it may be younger.
    """
    missing, different = list[tuple[str, str]](), list[tuple[str, str, str]]()
    for about, of_payment in by_payment(event, facts):
        for fact in of_payment:
            if fact.kind in TRANSFER_RULES:
                _compare_movement(fact, about.resource, booked, missing, different)
            elif not _is_known(fact, about.resource, booked):
                missing.append((_name(fact), money(fact)))
    if not (missing or different):
        return None
    names = (event.event_id, event.type, event.resource, event.occurred_at)
    if missing and not different:
        return Difference(
            "missing", *names, f"the provider knows of it, and the books do not: {_listed(missing)}",
            recorded=SAYS_NOTHING, listed=_listed(missing),
        )  # fmt: skip
    return Difference(
        "different", *names, "; ".join(f"what was {name} differs" for name, _, _ in different),
        recorded="; ".join(f"{name} {ours}" for name, ours, _ in different),
        listed="; ".join([*(f"{name} {theirs}" for name, _, theirs in different), *map(": ".join, missing)]),
    )  # fmt: skip


def _compare_movement(
    fact: Fact, payment: str, booked: Booked, missing: list[tuple[str, str]], different: list[tuple[str, str, str]]
) -> None:
    if not fact.amount or fact.held_by != "provider":
        return
    transfer = booked.transfers.get(_movement(fact))
    if transfer is None:
        is_whole = fact.either_whole_or_parts and fact.object == payment
        if not (is_whole and _is_captured(fact, booked.payments.get(payment))):
            missing.append((_name(fact), money(fact)))
    elif (transfer["amount"], transfer["currency"]) != (fact.amount, fact.currency):
        different.append((_name(fact), f"{transfer['amount']} {transfer['currency']}", money(fact)))
    elif transfer["payment_id"] != payment:
        different.append((_name(fact), f"of payment {transfer['payment_id']}", f"of payment {payment}"))


def _is_captured(fact: Fact, payment: Mapping[str, Any] | None) -> bool:
    """Return whether a payment that was captured whole has all of it in parts, under their own names."""
    return payment is not None and payment["currency"] == fact.currency and payment["captured"] >= fact.amount


def _is_known(fact: Fact, payment_id: str, booked: Booked) -> bool:
    """Return whether the books have a state, or one that follows it."""
    if fact.kind in DISPUTE_STATES:
        dispute = booked.disputes.get(fact.dispute_id)
        if dispute is None:
            return False
        is_open = fact.kind == "dispute_opened"
        return bool(dispute[_DISPUTE_COLUMNS[fact.kind]] or (is_open and (dispute["won"] or dispute["lost"])))
    payment = booked.payments.get(payment_id)
    if payment is None:
        return False
    match fact.kind:
        case "failed":
            return any(payment[state] for state in ("failed", "succeeded", "capture_failed"))
        case "canceled":
            return bool(payment["canceled"])
        case "refunded_total":
            kept = payment["refunds_made"] - payment["refunds_failed"]
            return bool(max(payment["refunds_total"], kept) >= fact.amount)
        case "authorized":
            return any(payment[state] for state in ("authorized", "succeeded", "failed", "canceled"))
    return True  # `pending`: there is a payment


def _with_implied(facts: Sequence[Fact]) -> Iterator[Fact]:
    """Yield the facts, and the transfer that a failed one reverses."""
    for fact in facts:
        if implied := IMPLIES.get(fact.kind):
            yield Fact(implied, fact.amount, fact.currency, fact.object, fact.dispute, fact.payment, fact.held_by)
        yield fact


def _movement(fact: Fact) -> str:
    return f"{TRANSFER_RULES[fact.kind].name}:{fact.object}"


def _name(fact: Fact) -> str:
    return f"{fact.kind} {fact.object}".rstrip()


def _listed(missing: Sequence[tuple[str, str]]) -> str:
    return "; ".join(map(": ".join, missing))
