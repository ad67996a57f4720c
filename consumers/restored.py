"""What the account in Redis says, and the sentences about a server that was restored from an older copy."""

from collections.abc import Mapping
from dataclasses import dataclass

REDIS_WAS_RESTORED = (
    "Redis lacks what it had confirmed: it was restored from an older copy, wiped, or is a replica that was behind; "
    "events that were only in Redis are lost. Run `make audit`, and have the providers send again what is missing"
)
POSTGRES_WAS_RESTORED = (
    "Postgres lacks what it had committed: it was restored from an older backup, or is a standby that was behind. From "
    "now on events sent again are accepted, also those that Redis believed to be committed. Run "
    "`make audit`, which names the lost events, and have the providers send them again"
)
ENTRIES_WERE_DELETED = (
    "entries were deleted from the stream, and not by a worker: somebody trimmed the stream or deleted them. Run "
    "`make audit`, which names the lost events, and have the providers send them again"
)


@dataclass(frozen=True, slots=True)
class AccountState:
    """The account in Redis, compared with what Postgres saw of it.

    `is_older`: Redis has been further. `confirmed_beat`: the beat that Postgres may keep, -1 if it is not time for one.
    `deleted`: entries deleted by others than workers since the last look. `note`: what a gateway noticed, or empty.
    `epoch`: the id of the stream's first entry, or empty.
    `applied`: consumer → `<namespace>:<event id>`, events that Postgres must have.
    """

    is_older: bool
    confirmed_beat: int
    restores: int
    deleted: int
    note: str
    epoch: str
    applied: Mapping[str, str]
