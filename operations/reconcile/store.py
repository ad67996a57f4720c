"""What is kept of comparisons with the providers' lists: how far each source came, and what differs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args

from sql import columns, load

if TYPE_CHECKING:
    from sql.connect import Connection

RECONCILE = load("reconcile")

CLAIM = timedelta(minutes=2)
"""How long a source stays claimed after the last sign of life of the one that compares it."""

FINDINGS_KEPT_DAYS = 365
"""How long a finding is kept after it was closed."""

TEXT_CHARS_MAX = 1000
"""How much of a sentence is kept."""

FindingKind = Literal["missing", "extra", "different"]
"""`missing`: listed by the provider, and unknown here. `extra`: applied, and not listed. `different`: both, but
they do not say the same."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events one run listed, and what became of them. `missing` are those that it found, also if repaired."""

    listed: int = 0
    missing: int = 0
    repaired: int = 0
    waiting: int = 0
    dead: int = 0
    extra: int = 0
    different: int = 0

    @property
    def differs(self) -> bool:
        """Whether something differs, or did before it was repaired."""
        return bool(self.missing or self.extra or self.different)


@dataclass(frozen=True, slots=True)
class Reconciliation(Counts):
    """How far one source was compared, and the numbers of its last run.

    `complete_until`: nothing that the provider lists from before this is missing; None before the first run.
    `failure`: why the last run failed, `failures` how many have since one succeeded. `refused`: the API does not accept
    the credentials. `open_…` counts the findings that are neither repaired nor closed.
    """

    source: str = ""
    namespace: str = ""
    compared_since: datetime | None = None
    compared_until: datetime | None = None
    complete_until: datetime | None = None
    next_at: datetime | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    succeeded_at: datetime | None = None
    outcome: str = ""
    failed_at: datetime | None = None
    failure: str | None = None
    failures: int = 0
    refused: bool = False
    open_missing: int = 0
    open_extra: int = 0
    open_different: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """One event or payment that differs. `recorded` is what is known here, `listed` what the provider says."""

    kind: FindingKind
    event_id: str
    type: str
    resource: str
    occurred_at: datetime | None
    difference: str
    recorded: str = ""
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Finding(Difference):
    """A difference as it is kept. `entry_id` is the entry that repaired it; `resolved_at`: it differs no more."""

    source: str = ""
    namespace: str = ""
    found_at: datetime | None = None
    repaired_at: datetime | None = None
    entry_id: str | None = None
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """The time that was compared without a gap; None where nothing was."""

    since: datetime | None
    until: datetime | None


async def read_reconciliations(connection: "Connection") -> list[Reconciliation]:
    """Return every source that was ever compared, or is due to be."""
    return [Reconciliation(**row) for row in await connection.fetch(RECONCILE["read_reconciliations"])]


async def list_findings(
    connection: "Connection", *, source: str | None = None, kind: FindingKind | None = None, only_open: bool = True,
    limit: int,
) -> list[Finding]:  # fmt: skip
    """Return what differs, the newest first. `only_open`: not what was closed. What was repaired is open until then."""
    query = RECONCILE.bind("list_findings", source=source, kind=kind, only_open=only_open, limit=limit)
    return [Finding(**row) for row in await connection.fetch(*query)]


async def find_findings(connection: "Connection", events: Iterable[tuple[str, str]]) -> list[Finding]:
    """Return what was ever found about these events, each given as its namespace and id; the oldest first."""
    events = list(events)
    query = RECONCILE.bind(
        "find_findings", namespace=[namespace for namespace, _ in events], event_id=[id_ for _, id_ in events]
    )
    return [Finding(**row) for row in await connection.fetch(*query)]


async def find_findings_of_payments(connection: "Connection", payments: Iterable[tuple[str, str]]) -> list[Finding]:
    """Return what was ever found about events of these payments, each given as its namespace and id."""
    payments = list(payments)
    query = RECONCILE.bind(
        "find_findings_of_payments", namespace=[namespace for namespace, _ in payments],
        resource=[id_ for _, id_ in payments],
    )  # fmt: skip
    return [Finding(**row) for row in await connection.fetch(*query)]


async def move_complete_until(connection: "Connection", source: str) -> datetime | None:
    """Move the time until which nothing is missing, by what was compared and what is open. Return it."""
    row = await connection.fetchrow(*RECONCILE.bind("move_complete_until", source=source))
    return row["complete_until"] if row else None


class Claim:
    """A source as one program compares it, until it ends the claim or is silent for too long."""

    def __init__(self, connection: "Connection", source: str, namespace: str, runner: str) -> None:
        self._connection = connection
        self.source = source
        self.namespace = namespace
        self.runner = runner

    async def take(self, *, at_once: bool) -> Compared | None:
        """Claim the source, and return how far it was compared; None if it is not due, or somebody else compares it."""
        await self._execute("ensure_source", namespace=self.namespace)
        row = await self._fetch("claim_source", runner=self.runner, claim_s=CLAIM.total_seconds(), at_once=at_once)
        return Compared(row["compared_since"], row["compared_until"]) if row else None

    async def renew(self) -> bool:
        """Renew the claim. Return False if somebody else has taken it."""
        return await self._fetch("renew_reconciliation", runner=self.runner, claim_s=CLAIM.total_seconds()) is not None

    async def find_holder(self) -> str | None:
        """Return who compares the source now; None if nobody does."""
        row = await self._fetch("find_claim")
        return row["claimed_by"] if row else None

    async def finish(
        self, counts: Counts, outcome: str, compared: Compared, next_in: timedelta | None
    ) -> datetime | None:  # fmt: skip
        """End the claim after a run. Return until when nothing is missing."""
        await self._fetch(
            "finish_run", runner=self.runner, outcome=outcome[:TEXT_CHARS_MAX], compared_since=compared.since,
            compared_until=compared.until, next_in_s=_seconds(next_in), **_numbers(counts),
        )  # fmt: skip
        await self._execute("remove_old_findings", kept_days=FINDINGS_KEPT_DAYS)
        return await move_complete_until(self._connection, self.source)

    async def fail(
        self, failure: str, compared: Compared, next_in: timedelta | None, *, refused: bool = False
    ) -> None:  # fmt: skip
        """End the claim after a run that failed. `compared`: what was compared until then."""
        await self._execute(
            "fail_run", runner=self.runner, failure=failure[:TEXT_CHARS_MAX], refused=refused,
            compared_since=compared.since, compared_until=compared.until, next_in_s=_seconds(next_in),
        )  # fmt: skip
        await move_complete_until(self._connection, self.source)

    async def leave(self) -> None:
        """Give the claim back without an outcome."""
        await self._execute("leave_run", runner=self.runner)

    async def count_failures(self) -> int:
        """Return how many runs have failed since one succeeded."""
        row = await self._fetch("count_failures")
        return row["failures"] if row else 0

    async def record(self, found: Sequence[Difference]) -> None:
        """Keep what differs."""
        if found:
            names = ("kind", "event_id", "type", "resource", "occurred_at", "difference", "recorded", "listed")
            await self._execute("record_findings", namespace=self.namespace, **columns(found, *names))

    async def record_repairs(self, entry_ids: dict[str, str]) -> None:
        """Keep that missing events were added, by their ids, as these entries."""
        await self._execute("record_repairs", event_id=list(entry_ids), entry_id=list(entry_ids.values()))

    async def resolve(self, kind: FindingKind, event_ids: Sequence[str]) -> None:
        """Close findings about events that do not differ any more."""
        if event_ids:
            await self._execute("resolve_findings", kind=kind, event_ids=list(event_ids))

    async def resolve_applied(self) -> None:
        """Close the findings about missing events that are applied by now."""
        await self._execute("resolve_applied")

    async def _execute(self, query: str, **values: object) -> None:
        await self._connection.execute(*RECONCILE.bind(query, source=self.source, **values))

    async def _fetch(self, query: str, **values: object):  # type: ignore[no-untyped-def] # noqa: ANN202
        return await self._connection.fetchrow(*RECONCILE.bind(query, source=self.source, **values))


def _numbers(counts: Counts) -> dict[str, int]:
    return {name: value for name, value in asdict(counts).items() if name in Counts.__dataclass_fields__}


def _seconds(time: timedelta | None) -> float | None:
    return time.total_seconds() if time is not None else None
