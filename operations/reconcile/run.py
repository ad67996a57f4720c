"""One comparison of one source with the provider's list: claimed, bounded, and recorded."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from consumers.retry import describe
from consumers.stream_stats import every_partition
from contract.keys import Partitions, read_partitions
from operations.log import Act
from operations.reconcile.account import is_of_another_account
from operations.reconcile.errors import BusyError, ReconcileError, UnknownAccountError
from operations.reconcile.events import Comparison
from operations.reconcile.limits import FAILED_AGAIN, RUN_S_MAX, again, limited
from operations.reconcile.lookup import Lookup
from operations.reconcile.payments import Books
from operations.reconcile.repair import Repair
from operations.reconcile.store import Claim, Compared, Counts, Finding, list_findings
from operations.reconcile.unfinished import look_up_unfinished
from operations.reconcile.windows import Plan, at, extended, plan, scheduled
from operations.servers import Servers
from operations.settings import Settings
from providers import FACT_EXTRACTORS
from providers.api import Api, ApiError, ApiRefusedError, EventList, Listing, PaymentList, Window
from sql.connect import UnreachableError

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from sql.connect import Connection

AHEAD_MIN = timedelta(seconds=10)
"""By how much our clock must be ahead of the provider's to count: an answer takes time, and names whole seconds."""

RENEW_S = 30.0
"""How often a claim is renewed."""

OPEN_FINDINGS_READ = 10_000
"""The open findings of a source that a run looks after."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is to do. `since`: None from where the last run ended; `until`: None until now.

    `over_gaps`: a time that the provider does not list any more is left behind; a person has decided so.
    `from_nothing`: what is missing is added although nothing that is listed was known here; likewise.
    """

    repair: bool = False
    since: datetime | None = None
    until: datetime | None = None
    over_gaps: bool = False
    from_nothing: bool = False
    at_once: bool = True
    next_in: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a run compared and found. `notes` are sentences about what it does not prove."""

    source: str
    since: datetime
    until: datetime
    counts: Counts
    complete_until: datetime | None
    outcome: str
    notes: list[str] = field(default_factory=list)


class Reconciliation:
    """Comparing one source. Each run opens its own connections."""

    def __init__(self, servers: Servers, api: Api, act: Act) -> None:
        """`servers` have the settings of operations."""
        self._servers = servers
        self._api = api
        self._act = act
        self._runner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.has_lost_its_claim = False
        """Whether another program has gone on, because this one was silent for too long."""

    async def run(self, wanted: Wanted) -> Report:
        """Compare once. Raise BusyError, ApiError, ReconcileError or UnreachableError; the failure is recorded."""
        access = self._api.access
        async with self._servers.redis() as redis, self._servers.postgres(RUN_S_MAX + RENEW_S) as connection:
            claim = Claim(connection, access.source, access.namespace, self._runner)
            compared = await claim.take(at_once=wanted.at_once)
            if compared is None:
                holder = await claim.find_holder()
                raise BusyError(f"{holder} compares it now; wait for its end, or two minutes if it was killed"
                                if holder else "it is not due yet")  # fmt: skip
            progress = _Progress(compared)
            try:
                async with self._renewed(claim), self._api, limited():
                    return await self._compare(connection, redis, claim, wanted, progress)
            except (ApiError, ReconcileError) as error:
                await self._fail(claim, error, wanted, progress)
                raise
            except BaseException as error:
                await self._leave(claim, error, wanted, progress)
                raise

    async def _compare(
        self, connection: "Connection", redis: "Redis", claim: Claim, wanted: Wanted, progress: "_Progress"
    ) -> Report:
        api, listing, settings = self._api, self._listing(), self._servers.settings
        compared = progress.compared
        planned = self._plan(compared, wanted)
        comparison = await self._comparison(connection, redis, claim, wanted, planned)
        await claim.resolve_applied()
        for window in planned.parts():
            await comparison.compare(window)
            if listing.empty_proves or comparison.total.seen:
                # What is listed now shows that the empty lists before it were true.
                since = planned.window.since
                whole = Window(since, max(since, self._proven_until(window.until)))
                progress.compared = extended(compared, whole, over_gaps=wanted.over_gaps)
        if not comparison.has_known and await is_of_another_account(connection, api):
            progress.compared = compared
            raise UnknownAccountError
        if wanted.until is None:
            unfinished = look_up_unfinished(connection, api, planned.window.since)
            await comparison.compare_objects(planned.window, unfinished)
        total = comparison.total
        proves = bool(total.seen) or listing.empty_proves
        await comparison.end(proves=proves and listing.is_exhaustive)
        counts, notes = total.counts(), [*self._notes(planned, progress.compared, proves=proves)]
        if total.unproven:
            notes.append(f"{total.unproven} were added, but this Redis could not confirm that they are on disk")
        if total.unreadable:
            notes.append(f"{total.unreadable} of them cannot be read, which no repair changes: their findings say why")
        outcome = _outcome(counts, planned.window, notes)
        self._check_claim()
        complete_until = await claim.finish(counts, outcome, progress.compared, wanted.next_in)
        log.info("reconciled", source=claim.source, outcome=outcome, key_prefix=settings.key_prefix)
        return Report(
            claim.source, planned.window.since, planned.window.until, counts, complete_until, outcome, notes
        )  # fmt: skip

    def _listing(self) -> Listing:
        """Return the API as what lists. Raise ReconcileError where it does not."""
        if not isinstance(self._api, Listing):
            raise ReconcileError(f"the API of provider {self._api.name} lists neither events nor payments")
        return self._api

    def _plan(self, compared: Compared, wanted: Wanted) -> Plan:
        now, listing = datetime.now(UTC), self._listing()
        window = scheduled(compared, now, listing.overlap)
        window = Window(wanted.since or window.since, wanted.until or now)
        return plan(window, now, reach=listing.reach, not_yet=self._not_yet())

    def _not_yet(self) -> timedelta:
        """Return how young an event may be without being missing."""
        settings = self._servers.settings
        grace = timedelta(seconds=settings.reconcile_grace_s if isinstance(settings, Settings) else 0)
        return max(grace, self._listing().lag)

    def _proven_until(self, until: datetime) -> datetime:
        """Return until when a list is complete by the provider's clock too: ours may be ahead, and what happens until
        then is listed later.
        """
        ahead = self._api.client.clock_ahead
        return min(until, datetime.now(UTC) - ahead - self._not_yet()) if ahead > AHEAD_MIN else until

    async def _comparison(
        self, connection: "Connection", redis: "Redis", claim: Claim, wanted: Wanted, planned: Plan
    ) -> Comparison:
        api, settings = self._api, self._servers.settings
        known = await every_partition(redis, self._servers.keys)
        stored = await redis.hget(self._servers.keys.partitions, "routed")
        routed = Partitions(settings.key_prefix, read_partitions(stored) if stored else settings.partitions)
        of_events = isinstance(api, EventList)
        lookup = Lookup(
            connection, redis, known if len(known) > len(routed.all) else routed.all, claim.namespace,
            ids_differ=isinstance(api, EventList) and api.ids_differ,
            with_bodies=of_events and api.name in FACT_EXTRACTORS,
        )  # fmt: skip
        repair = Repair(
            connection, redis, routed, claim, self._act, seen_ttl_s=settings.seen_ttl_s,
            backlog_limit=settings.backlog_limit if isinstance(settings, Settings) else 1,
            from_nothing=wanted.from_nothing,
        ) if wanted.repair else None  # fmt: skip
        books = Books(connection, api) if isinstance(api, PaymentList) else None
        return Comparison(
            connection, api, lookup, claim, books=books, repair=repair,
            until=planned.window.until, open_findings=await self._open_findings(connection, claim),
            on_page=self._check_claim,
        )  # fmt: skip

    async def _open_findings(self, connection: "Connection", claim: Claim) -> list[Finding]:
        return await list_findings(connection, source=claim.source, limit=OPEN_FINDINGS_READ)

    def _check_claim(self) -> None:
        if self.has_lost_its_claim:
            raise ReconcileError("this program was stopped for too long, and another one has gone on")

    @asynccontextmanager
    async def _renewed(self, claim: Claim) -> AsyncIterator[None]:
        """Renew the claim meanwhile, over connections of its own: an API may make a page wait for minutes."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(RENEW_S)
                try:
                    async with self._servers.postgres() as connection:
                        own = Claim(connection, claim.source, claim.namespace, self._runner)
                        self.has_lost_its_claim = self.has_lost_its_claim or not await own.renew()
                except UnreachableError as error:
                    log.warning("a claim could not be renewed; it is tried again", reason=str(error))

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    def _notes(self, planned: Plan, compared: Compared, *, proves: bool) -> list[str]:
        notes = [planned.cut] if planned.cut else []
        ahead = self._api.client.clock_ahead
        if not proves:
            notes.append("the list is empty, which proves nothing at this provider")
        elif ahead > AHEAD_MIN and compared.until is not None and compared.until < planned.window.until:
            notes.append(
                f"the clock of this machine is {ahead.total_seconds():.0f} s ahead of the provider's, so what happened "
                f"after {at(compared.until)} is compared again: set the clock"
            )
        elif compared.until is not None and compared.until < planned.window.until:
            notes.append(
                f"nobody knows what happened from {at(compared.until)} to {at(planned.window.since)}, so this does not "
                "move the time until which all is complete: begin with the earlier time, or leave it behind by "
                "OVER_GAPS=1"
            )
        if isinstance(self._api, Listing) and self._api.unlisted:
            notes.append(f"not listed by this provider: {self._api.unlisted}")
        return notes

    async def _fail(self, claim: Claim, error: Exception, wanted: Wanted, progress: "_Progress") -> None:
        next_in = None
        if wanted.next_in is not None:
            next_in = again(error, wanted.next_in, await claim.count_failures())
        refused = isinstance(error, ApiRefusedError)
        await claim.fail(str(error), progress.compared, next_in, refused=refused)
        log.warning("a source could not be reconciled", source=claim.source, reason=str(error), refused=refused)

    async def _leave(self, claim: Claim, error: BaseException, wanted: Wanted, progress: "_Progress") -> None:
        """Give back the claim, if Postgres can still be asked; else it runs out."""
        with suppress(Exception):
            if isinstance(error, Exception):
                await claim.fail(describe(error), progress.compared, FAILED_AGAIN if wanted.next_in else None)
            else:
                await claim.leave()


@dataclass(slots=True)
class _Progress:
    """What is compared so far."""

    compared: Compared


def _outcome(counts: Counts, window: Window, notes: list[str]) -> str:
    parts = [f"{counts.listed} listed from {at(window.since)} to {at(window.until)}", f"{counts.missing} missing"]
    if counts.repaired:
        parts.append(f"{counts.repaired} of them added to the stream")
    others = {"waiting": counts.waiting, "dead": counts.dead, "extra": counts.extra, "different": counts.different}
    parts += [f"{number} {name}" for name, number in others.items() if number]
    return "; ".join([", ".join(parts), *notes])
