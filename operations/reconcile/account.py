"""Whether a list is of the account whose events arrive here.

By the key of another account, a repair would fill the books with money that is not ours.
"""

from collections.abc import Awaitable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from operations.reconcile.tally import type_filter
from operations.reconcile.unfinished import ask_about
from providers.api import Api, EventList, PaymentLookup, Window
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

RECONCILE = load("reconcile")

ASKED_MAX = 5
"""How many of the last events or payments are looked for: one may be of a connected account, or a test."""

READ_MAX = 200
"""How many of the last events are read, to find those of a type that is compared."""

REACH_MAX = timedelta(days=28)
"""How long ago the events may have arrived: every list reaches as far back."""

SECOND = timedelta(seconds=1)

Content = tuple[str, str, datetime]
"""An event's type, payment and time: it is known by them where deliveries have other ids than the list."""


async def lists_what_arrived(connection: "Connection", api: Api) -> bool:
    """Return whether the provider knows one of the last events, or of the last payments, that arrived here.

    Raise ApiError.
    """
    if isinstance(api, EventList):
        is_wanted = type_filter(api)
        query = RECONCILE.bind(
            "list_last_delivered", source=api.access.source, mode=api.access.mode, within=REACH_MAX, limit=READ_MAX
        )
        wanted = [row for row in await connection.fetch(*query) if is_wanted(row["type"])]
        return await _any(_lists(api, row["event_id"], _content(row)) for row in wanted[:ASKED_MAX])
    if isinstance(api, PaymentLookup):
        query = RECONCILE.bind("list_last_payments", namespace=api.access.namespace, provider=api.name, limit=ASKED_MAX)
        return await _any(_knows(api, row["payment_id"]) for row in await connection.fetch(*query))
    return False


async def is_of_another_account(connection: "Connection", api: Api) -> bool:
    """Return whether a list of payments is one of which the API knows none of the last that were delivered.

    False where none was delivered lately, so that nothing shows it. Raise ApiError.
    """
    if not isinstance(api, PaymentLookup):
        return False
    query = RECONCILE.bind(
        "list_last_delivered_payments", source=api.access.source, mode=api.access.mode, within=REACH_MAX,
        read=READ_MAX, limit=ASKED_MAX,
    )  # fmt: skip
    rows = await connection.fetch(*query)
    return bool(rows) and not await _any(_knows(api, row["payment_id"]) for row in rows)


async def _any(answers: Iterable[Awaitable[bool]]) -> bool:
    """Return whether one of the answers is yes. Those after it are not asked for."""
    for answer in answers:
        if await answer:
            return True
    return False


async def _lists(api: EventList, event_id: str, content: Content) -> bool:
    """Return whether an event is listed among those of its second."""
    *_, occurred_at = content
    begin = occurred_at.replace(microsecond=0)
    async for page in api.list_events(Window(begin, begin + 2 * SECOND)):
        for listed in page:
            parsed = listed.parsed
            if event_id in (parsed.event_id, *listed.aliases):
                return True
            if api.ids_differ and content == (parsed.type, parsed.resource, parsed.occurred_at):
                return True
    return False


async def _knows(api: PaymentLookup, payment_id: str) -> bool:
    return bool(await ask_about(api, payment_id))


def _content(row: Mapping[str, Any]) -> Content:
    return row["type"], row["resource"], row["occurred_at"]
