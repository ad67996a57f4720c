"""Disputes: what the customer claims, what the provider withdrew for it, and what came back."""

from collections.abc import Sequence

from contract.event import Event
from contract.facts import DISPUTE_KINDS, Fact
from sql import columns, load
from sql.connect import Connection

DISPUTES = load("disputes")


async def merge_disputes(connection: Connection, batch: Sequence[tuple[Event, Sequence[Fact]]]) -> None:
    """Merge the facts about disputes into `disputes`, and sum up their transfers and their payments again."""
    disputed = [(event, fact) for event, facts in batch for fact in facts if fact.kind in DISPUTE_KINDS]
    if not disputed:
        return
    facts, events = [fact for _, fact in disputed], [event for event, _ in disputed]
    namespaces, payments = [event.namespace for event in events], [event.resource for event in events]
    await connection.execute(
        *DISPUTES.bind(
            "merge_disputes",
            namespace=namespaces,
            payment_id=payments,
            **columns(facts, "dispute_id", "currency", "amount", "kind"),
            **columns(events, "occurred_at"),
        )
    )
    await recompute_disputes(connection, namespaces, payments)


async def recompute_disputes(connection: Connection, namespaces: Sequence[str], payment_ids: Sequence[str]) -> None:
    """Sum up the transfers of these payments' disputes, and then what is disputed of the payments."""
    payments = {"namespace": namespaces, "payment_id": payment_ids}
    await connection.execute(*DISPUTES.bind("recompute_disputes", **payments))
    await connection.execute(*DISPUTES.bind("recompute_disputed", **payments))
