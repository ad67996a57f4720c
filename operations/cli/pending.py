"""`pending`: the entries that were read and not committed yet, and why each waits."""

from typing import Any

from rich.console import Console
from rich.table import Table

from consumers.entry import Entry
from operations.cli.command import Command, Subcommand, add_limit
from operations.group_consumers import list_consumers
from operations.pending import ExplainedEntry, PendingPage, list_pending
from operations.pending_reason import STRANDED, WorkerLimits
from operations.units import count, duration


async def show_pending(command: Command) -> int:
    """Show the pending entries, the oldest first."""
    servers, limits = command.servers, WorkerLimits.of(command.settings)
    async with servers.redis() as redis:
        page = await list_pending(redis, servers.keys, limits, limit=command.arguments.limit)
        consumers = await list_consumers(redis, servers.keys, page.stats)
    works = any(consumer.lives for consumer in consumers)
    if command.arguments.json:
        command.print_json(pending_json(page))
    else:
        _print_entries(command, page)
        _print_unread(command.console, page)
        if not works and page.stats.stream and page.stats.stream.length:
            command.console.print(
                "No worker runs, so nothing is applied: `make consumers N=2` starts two.", style="bold"
            )
    return 0


COMMAND = Subcommand(
    "show entries that were read and not committed, the oldest first, and why they wait", add_limit, show_pending
)


def pending_json(page: PendingPage) -> dict[str, Any]:
    """Return the entries and the counts; times in seconds."""
    stream, group = page.stats.stream, page.stats.group
    return {
        "pending": group.pending if group else 0,
        "unread": group.lag if group else stream.length if stream else 0,
        "entries": [_entry_json(entry) for entry in page.entries],
        "stranded": [{"entry_id": entry_id, "why": STRANDED} for entry_id in page.stranded],
    }


def _print_entries(command: Command, page: PendingPage) -> None:
    for entry_id in page.stranded:
        command.console.print(f"{entry_id}: {STRANDED}", style="red")
    if not page.entries:
        command.console.print("Nothing is pending.")
        return
    table = Table("entry, age", "event", "held by", "why it waits", title="Pending", title_justify="left")
    for entry in page.entries:
        table.add_row(*_row(entry))
    command.console.print(table)
    if page.stats.group:
        command.print_more(page.stats.group.pending, len(page.entries))


def _print_unread(console: Console, page: PendingPage) -> None:
    stream, group = page.stats.stream, page.stats.group
    if stream and stream.length and group is None:
        waiting = count(stream.length, "entry waits", "entries wait")
        console.print(f"{waiting}, and no worker has ever read this stream.")
    if group and group.lag:
        about = "about " if group.lag_is_estimated else ""
        unread = count(group.lag, "entry in the stream was", "entries in the stream were")
        console.print(f"{about}{unread} not read by any worker yet.")


def _row(explained: ExplainedEntry) -> tuple[str, str, str, str]:
    pending = explained.pending
    if isinstance(pending.entry, Entry):
        event = pending.entry.event
        event_text = f"{event.namespace}/{event.event_id}\n{event.type}\n{event.resource}"
    else:
        event_text = "gone" if pending.entry is None else "not an envelope"
    held = (
        f"{pending.consumer}\nidle {duration(pending.idle_ms)}\n{count(pending.deliveries, 'delivery', 'deliveries')}"
    )
    return f"{pending.entry_id}\n{duration(explained.age_ms)} old", event_text, held, explained.why


def _entry_json(explained: ExplainedEntry) -> dict[str, Any]:
    pending = explained.pending
    event = pending.entry.event if isinstance(pending.entry, Entry) else None
    return {
        "entry_id": pending.entry_id,
        "age_s": explained.age_ms / 1000,
        "namespace": event.namespace if event else None,
        "event_id": event.event_id if event else None,
        "source": event.source if event else None,
        "type": event.type if event else None,
        "resource": event.resource if event else None,
        "consumer": pending.consumer,
        "consumer_lives": pending.consumer_lives,
        "idle_s": pending.idle_ms / 1000,
        "deliveries": pending.deliveries,
        "why": explained.why,
    }
