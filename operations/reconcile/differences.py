"""What differs between an event as it was delivered and as the provider lists it. Pure: nobody is asked."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from contract.event import Event
from contract.facts import Fact
from contract.money import MoneyError
from operations.reconcile.lookup import Recorded
from operations.reconcile.store import Difference
from providers import FACT_EXTRACTORS
from providers.api import Listed
from providers.facts import UnreadableError


def find_difference(listed: Listed, recorded: Recorded, as_listed: Event) -> Difference | None:
    """Return how an applied event differs from what is listed, by type, payment, and what both say about money.

    `as_listed` is the listed event. What only one of both says is no difference: the provider may list an event in
    another version of its API than it delivers it in.
    """
    differing = list(_differing(listed, recorded, as_listed))
    if not differing:
        return None
    parsed = listed.parsed
    return Difference(
        "different", recorded.event_id, recorded.type, recorded.resource, recorded.occurred_at,
        "; ".join(f"{what} differs" for what, _, _ in differing),
        recorded="; ".join(f"{what} {ours}" for what, ours, _ in differing),
        listed="; ".join(f"{what} {theirs}" for what, _, theirs in differing)
        + (f" (as {parsed.event_id})" if parsed.event_id != recorded.event_id else ""),
    )  # fmt: skip


def _differing(listed: Listed, recorded: Recorded, as_listed: Event) -> Iterator[tuple[str, str, str]]:
    parsed = listed.parsed
    for what, ours, theirs in (
        ("the type", recorded.type, parsed.type),
        ("the payment", recorded.resource, parsed.resource),
    ):
        if ours != theirs:
            yield what, ours, theirs
    if recorded.body == listed.body or recorded.type != parsed.type:
        return
    delivered = recorded.to_event()
    if delivered is not None:
        yield from _differing_facts(extract(delivered), extract(as_listed))


def _differing_facts(ours: Sequence[Fact], theirs: Sequence[Fact]) -> Iterator[tuple[str, str, str]]:
    """Yield the facts of which both report the same kind and object, with other money."""
    listed = {(fact.kind, fact.object): fact for fact in theirs}
    for fact in ours:
        other = listed.get((fact.kind, fact.object))
        if other is not None and (fact.amount, fact.currency) != (other.amount, other.currency):
            name = f"{fact.kind} {fact.object}".rstrip()
            yield f"what was {name}", money(fact), money(other)


def extract(event: Event) -> Sequence[Fact]:
    """Return an event's facts; none where it cannot be read, which is for the worker to say."""
    return read_facts(event) or ()


def read_facts(event: Event) -> Sequence[Fact] | None:
    """Return an event's facts; None where it cannot be read."""
    extract_facts = FACT_EXTRACTORS.get(event.provider)
    try:
        return extract_facts(event) if extract_facts else ()
    except (MoneyError, UnreadableError, ValidationError):
        return None


def money(fact: Fact) -> str:
    """Return a fact's money in words: minor units, as everywhere in the books."""
    return f"{fact.amount} {fact.currency}"
