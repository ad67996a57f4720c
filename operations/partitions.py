"""Changing the number of partitions, on a running system or one that stands still."""

from dataclasses import dataclass

from consumers.stream_stats import every_partition
from contract.keys import PARTITIONS_MAX, read_partitions
from operations.log import Act, record
from operations.servers import Servers
from sql import load

RESTORES = load("restores")


@dataclass(frozen=True, slots=True)
class Change:
    """The number of partitions before and now. `read`: how many workers read from now on, which never falls."""

    before: int
    now: int
    read: int


async def set_partitions(servers: Servers, number: int, *, act: Act) -> Change:
    """Have workers read this many partitions, and keep the number; gateways follow by their setting.

    It may rise and fall at any time: workers read every partition that there ever was, so that nothing is left behind;
    the rows do not depend on the order of events; and Postgres refuses a duplicate whose marker is in the partition
    that its payment was in before.
    """
    if not 1 <= number <= PARTITIONS_MAX:
        raise ValueError(f"there are from 1 to {PARTITIONS_MAX} partitions")
    keys = servers.keys
    async with servers.redis() as redis, servers.postgres() as connection:
        known = await connection.fetchval(*RESTORES.bind("read_partitions", key_prefix=keys.prefix))
        read = max(number, known, len(await every_partition(redis, keys)))
        routed = await redis.hget(keys.partitions, "routed")
        change = Change(read_partitions(routed) if routed else max(known, 1), number, read)
        async with connection.transaction(isolation="read_committed"):
            if read > 1:  # a Redis that is wiped before the first entry must not forget it
                await connection.execute(
                    *RESTORES.bind("know_partition", key_prefix=keys.of(read - 1).stream_name)
                )  # fmt: skip
            details = {"before": change.before, "now": number, "read": read}
            await record(
                connection, act, action="partitions", subject=f"stream:{keys.prefix}",
                touched=abs(number - change.before), details=details,
            )  # fmt: skip
            await redis.hset(keys.partitions, mapping={"read": read, "routed": number})
    return change
