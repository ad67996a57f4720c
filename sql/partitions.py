"""The partitions of the payloads: one a month, made long before the first row needs it."""

from sql import load
from sql.connect import Connection

MONTHS_AHEAD = 2
"""Months after the present one that have a partition."""

_EVENTS = load("events")


async def ensure_payload_partitions(connection: Connection) -> None:
    """Create the partitions of the present and the coming months that do not exist yet."""
    await connection.execute(*_EVENTS.bind("ensure_payload_partitions", months_ahead=MONTHS_AHEAD))
