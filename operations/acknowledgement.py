"""A person acknowledges what the account of the stream found, so that only later losses are shown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from operations.log import Act, record
from operations.lost_events import NAMED_MAX
from operations.servers import LONG_TIMEOUT_S, Servers
from operations.stream_accounting import RESTORES, PartitionAccount, read_account
from sql.audit import Finding

if TYPE_CHECKING:
    from sql.connect import Connection

ACKNOWLEDGED = frozenset({"entries_do_not_add_up", "restore_not_acknowledged", "lost_event"})
"""Findings that stay as they are. The others end when a worker, or a person, has done something about them."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What was acknowledged, under which number; None if there was nothing. `left`: findings that it does not end."""

    id: int | None
    acknowledged: list[Finding]
    left: list[Finding]


async def acknowledge(servers: Servers, *, act: Act) -> Acknowledgement:
    """Record who acknowledges the present differences, and why, with the names of what was lost."""
    prefix = servers.keys.prefix
    async with servers.redis() as redis, servers.postgres(LONG_TIMEOUT_S) as connection:
        account = await read_account(
            redis, servers.keys, connection, timeout_s=LONG_TIMEOUT_S, rows_max=NAMED_MAX
        )  # fmt: skip
        taken = [finding for finding in account.findings if finding.name in ACKNOWLEDGED]
        left = [finding for finding in account.findings if finding.name not in ACKNOWLEDGED]
        if not taken:
            return Acknowledgement(None, [], left)
        async with connection.transaction(isolation="read_committed"):
            first, *others = [each for each in account.partitions if _is_to_be_kept(each)]
            number = await _keep(connection, act, first, taken)
            for each in others:
                await _keep(connection, act, each, [])
            restores = [row["id"] for f in taken if f.name == "restore_not_acknowledged" for row in f.rows]
            await connection.execute(*RESTORES.bind("close_restores", acknowledgement=number, ids=restores))
            totals = {finding.name: finding.total for finding in taken}
            await record(
                connection, act, action="acknowledge", subject=f"stream:{prefix}", touched=sum(totals.values()),
                details={"acknowledgement": number, "findings": totals},
            )  # fmt: skip
    return Acknowledgement(number, taken, left)


def _is_to_be_kept(account: PartitionAccount) -> bool:
    """Return whether a partition's difference is acknowledged; that of the first one always, with the findings."""
    return account.keys.partition == 0 or bool(account.counts and not account.counts.balanced)


async def _keep(connection: "Connection", act: Act, account: PartitionAccount, findings: Sequence[Finding]) -> int:
    """Keep the difference of one partition, and return the acknowledgement's number."""
    number: int = await connection.fetchval(
        *RESTORES.bind(
            "acknowledge", actor=act.actor, reason=act.reason, key_prefix=account.keys.stream_name,
            epoch=account.epoch, difference=account.counts.difference if account.counts else 0,
            findings=json.dumps([asdict(finding) for finding in findings], default=str),
        )
    )  # fmt: skip
    return number
