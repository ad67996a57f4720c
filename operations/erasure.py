"""Erases the personal data of one payment or event. The books, the ids and what people did stay.

Erased are the signed bytes and headers of applied events, what their provider's API said about them, and the fields,
traceback and reason of closed dead letters.
What is not applied yet is refused: it would be lost, and with it the money that it reports.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from redis.asyncio import Redis

from consumers.entry import Entry, read_entry
from consumers.stream_stats import every_partition, read_stream_stats
from contract.keys import Keys
from operations.log import Act, record
from operations.payment_acts import exclusive_transaction
from operations.servers import LONG_TIMEOUT_S, Servers
from operations.why.model import Subject
from operations.why.query import parse_query
from sql import load

if TYPE_CHECKING:
    from sql.connect import Connection

Kind = Literal["payment", "event"]

ENTRIES_AT_ONCE = 100
"""Entries per script call. Redis is blocked during each call."""

ERASED = "(erased)"
"""The reason of a dead letter that was erased."""

CONFIRMATIONS = load("confirmations")
ERASURE = load("erasure")
WHY = load("why")

_FIND_ENTRIES = (Path(__file__).parent / "lua" / "find_entries.lua").read_text()


class ErasureError(Exception):
    """Nothing was erased. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class Erasable:
    """What is kept of a payment or event, before it is erased: its events, and how many rows have personal data."""

    kind: Kind
    subject: Subject
    event_ids: tuple[str, ...]
    payloads: int
    dead_letters: int

    @property
    def rows(self) -> int:
        """How many rows would be changed."""
        return self.payloads + self.dead_letters


async def find_erasable(servers: Servers, kind: Kind, id_text: str) -> Erasable:
    """Find what is kept, in Postgres and in the stream. Raise ErasureError where it may not be erased."""
    async with servers.redis() as redis, servers.postgres(LONG_TIMEOUT_S) as connection:
        subject = await _resolve(connection, kind, id_text)
        event_ids = await _find_events(connection, kind, subject)
        await _refuse_waiting(redis, servers.keys, subject, event_ids)
        await _refuse_needed(connection, subject.namespace, event_ids)
        counted = await connection.fetchrow(
            *ERASURE.bind("count_erasable", namespace=subject.namespace, event_ids=event_ids, erased=ERASED)
        )
    return Erasable(kind, subject, tuple(event_ids), counted["payloads"], counted["dead_letters"])


async def erase(servers: Servers, erasable: Erasable, *, act: Act) -> Erasable:
    """Erase it in one transaction, which excludes workers from its payments, and record it. Return what was erased."""
    namespace = erasable.subject.namespace
    async with servers.postgres(LONG_TIMEOUT_S) as connection:
        event_ids = await _find_events(connection, erasable.kind, erasable.subject)
        of_events = {"namespace": namespace, "event_ids": event_ids}
        rows = await connection.fetch(*ERASURE.bind("find_resources", **of_events))
        payments = [row["resource"] for row in rows]
        async with exclusive_transaction(connection, [namespace] * len(payments), payments):
            await _refuse_needed(connection, namespace, event_ids)
            payloads = await connection.fetchval(
                *ERASURE.bind("erase_payloads", namespaces=[namespace] * len(event_ids), event_ids=event_ids)
            )
            await connection.execute(*CONFIRMATIONS.bind("erase_fetched", **of_events))
            letters = await connection.fetch(*ERASURE.bind("erase_dead_letters", **of_events, erased=ERASED))
            done = Erasable(erasable.kind, erasable.subject, tuple(event_ids), payloads, len(letters))
            if done.rows:
                await _record(connection, act, done, [row["id"] for row in letters])
    return done


async def _record(connection: "Connection", act: Act, done: Erasable, letters: list[int]) -> None:
    events = [str(Subject(done.subject.namespace, event_id)) for event_id in done.event_ids]
    await record(
        connection, act, action="erase", subject=f"{done.kind}:{done.subject}", touched=done.rows,
        details={"payloads": done.payloads, "dead_letters": letters, "events": events},
    )  # fmt: skip


async def _resolve(connection: "Connection", kind: Kind, id_text: str) -> Subject:
    """Return the one payment or event that the text names."""
    known = {row["namespace"] for row in await connection.fetch(WHY["list_namespaces"])}
    for query in parse_query(id_text):
        find = ERASURE.bind(f"find_namespaces_of_{kind}", namespaces=query.within(known), id=query.id)
        found = [row["namespace"] for row in await connection.fetch(*find)]
        found = [namespace for namespace in found if query.namespace in (None, namespace)]
        if len(found) > 1:
            names = ", ".join(f"{namespace}/{query.id}" for namespace in found)
            raise ErasureError(f"{query.id} is known in several namespaces; name one: {names}")
        if found:
            return Subject(found[0], query.id)
    raise ErasureError(f"No {kind} {id_text} is applied or a dead letter")


async def _find_events(connection: "Connection", kind: Kind, subject: Subject) -> list[str]:
    if kind == "event":
        return [subject.id]
    query = ERASURE.bind("find_events_of_payment", namespace=subject.namespace, payment_id=subject.id)
    return [row["event_id"] for row in await connection.fetch(*query)]


async def _refuse_needed(connection: "Connection", namespace: str, event_ids: list[str]) -> None:
    query = ERASURE.bind("find_reason_to_keep", namespace=namespace, event_ids=event_ids)
    needed = await connection.fetchrow(*query)
    if needed["open_dead_letter"]:
        raise ErasureError(f"Dead letter {needed['open_dead_letter']} is open, so that its event is not applied: "
                           "replay or discard it first")  # fmt: skip
    if needed["event_in_use"]:
        event = f"{namespace}/{needed['event_in_use']}"
        raise ErasureError(f"Event {event} has facts on hold, is to be confirmed or is in an open conflict, and its "
                           "payload will be read again: decide first (make conflicts)")  # fmt: skip


async def _refuse_waiting(redis: Redis, keys: Keys, subject: Subject, event_ids: list[str]) -> None:
    """Refuse where an entry of it is in a stream: its event may not be applied yet, and a worker removes the entry."""
    script = redis.register_script(_FIND_ENTRIES)
    for partition in await every_partition(redis, keys):
        stream = (await read_stream_stats(redis, partition)).stream
        start = "-" if stream and stream.length else ""
        while stream and start:
            arguments: list[str | int] = [start, stream.last_id, ENTRIES_AT_ONCE, subject.id, *event_ids]
            last, *found = cast("list[bytes]", await script(keys=[partition.events], args=arguments))
            for entry_id in found:
                if await _is_of(redis, partition, entry_id.decode(), subject.namespace):
                    raise ErasureError(f"Entry {entry_id.decode()} of it is still in the stream: erase it once a "
                                       f"worker has applied it (make why ID={subject})")  # fmt: skip
            start = f"({last.decode()}" if last else ""


async def _is_of(redis: Redis, keys: Keys, entry_id: str, namespace: str) -> bool:
    rows = cast("list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(keys.events, entry_id, entry_id))
    entries = [read_entry(name, 1, fields) for name, fields in rows]
    return any(not isinstance(entry, Entry) or entry.event.namespace == namespace for entry in entries)
