"""Comparing one source with the provider's list of events or payments, window by window."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from contract.event import Event
from operations.reconcile.account import lists_what_arrived
from operations.reconcile.differences import find_difference
from operations.reconcile.errors import ReconcileError, UnknownAccountError
from operations.reconcile.lookup import RECONCILE, Known, Lookup, State
from operations.reconcile.payments import Books
from operations.reconcile.repair import BYTES_AT_ONCE, EVENTS_AT_ONCE, Repair
from operations.reconcile.store import FINDING_KINDS, Claim, Difference, Finding
from operations.reconcile.tally import Tally, Total, read_ahead, type_filter
from providers.api import Api, ApiUnexpectedError, EventList, Listed, PaymentList, Window, to_event

if TYPE_CHECKING:
    from sql.connect import Connection

IDS_MAX = 200_000
"""The ids of one window that are kept in memory. A window with more is halved, and its halves are listed anew."""

EXTRA_MAX = 10_000
"""The events that are not listed, of which one run keeps the names."""

HALVED_MIN = timedelta(seconds=2)
"""The shortest window that is halved: some lists know whole seconds only."""

LATE_S = 24 * 60 * 60.0
"""How long after it happened an event may have been applied, to be looked for in the list."""

MISSING = "the provider lists it, and it never arrived"
UNREADABLE = "the provider lists it, it is not known here, and it cannot be read"
UNTIMED = "when it happened is not known: not before the time that is shown"


class _TooManyError(Exception):
    """A window has more events than are kept in memory."""


class Comparison:
    """One run's comparison. `repair`: None only reports. `on_page` is called for each page, and may raise."""

    def __init__(
        self, connection: "Connection", api: Api, lookup: Lookup, claim: Claim, *, books: Books | None,
        repair: Repair | None, until: datetime, open_findings: Sequence[Finding] = (),
        on_page: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`books`: where the API lists payments, which are compared by what they say about money.

        `until`: what happened later is left out, whatever the list has.
        """
        self._connection = connection
        self._api = api
        self._lookup = lookup
        self._claim = claim
        self._books = books
        self._repair = repair
        self._until = until
        self._on_page = on_page
        self._is_wanted = type_filter(api)
        self._open = list(open_findings)
        self._buffer: list[Event] = []
        self._lost: set[str] = set()
        """Those of the buffer's events that Redis takes for committed."""
        self._strays: set[str] = set()
        """Recorded events that were listed in another window than that of their time."""
        self._compared: set[str] = set()
        """Objects that were compared in other windows: a dispute, or what changed twice, is listed in several."""
        self._is_own_account = repair is not None and repair.from_nothing
        """Whether something shows that the list is of the account whose events arrive here."""
        self.total = Total()

    @property
    def has_known(self) -> bool:
        """Whether something that is listed was known here, or a person has said that the account is the right one."""
        return self._is_own_account or (self._books is not None and self._books.has_any)

    async def compare(self, window: Window) -> None:
        """Compare a window, in halves where it has too many events. Raise ApiError, ReconcileError or NoRoomError."""
        await self._compare(window, frozenset())
        await self._flush()

    async def compare_objects(self, window: Window, pages: AsyncIterator[Sequence[Listed]]) -> None:
        """Compare objects that were asked for one by one. Raise likewise."""
        tally = Tally()
        async for page in pages:
            self._on_page()
            await self._compare_page(window, page, tally, frozenset())
        self._end_window(tally)
        await self._flush()

    async def end(self, *, proves: bool) -> None:
        """Record what is applied and not listed. `proves`: that something is not listed says that it did not happen."""
        extra = self.total.extra
        for event_id in self._strays & extra.keys():
            del extra[event_id]
        if not proves:
            extra.clear()
        await self._claim.record(list(extra.values()))

    def _list(self, window: Window) -> AsyncIterator[Sequence[Listed]]:
        if isinstance(self._api, EventList):
            return self._api.list_events(window)
        if isinstance(self._api, PaymentList):
            return self._api.list_payments(window)
        raise ReconcileError(f"the API of provider {self._api.name} lists neither events nor payments")

    async def _compare(self, window: Window, handled: frozenset[str]) -> None:
        """Compare a window. `handled`: the missing events that were met before it was halved."""
        tally = Tally()
        try:
            async for page in read_ahead(self._list(window)):
                self._on_page()
                await self._compare_page(window, page, tally, handled)
            if self._books is None:
                await self._find_extra(window, tally)
        except _TooManyError:
            if window.until - window.since < HALVED_MIN:
                raise ReconcileError(f"more than {IDS_MAX} events happened in one moment") from None
            for half in window.halves():
                await self._compare(half, handled | tally.missing)
        else:
            self._end_window(tally)

    def _end_window(self, tally: Tally) -> None:
        self.total.add(tally)
        if self._books is not None and len(self._compared) + len(tally.matched) <= IDS_MAX:
            self._compared |= tally.matched

    async def _compare_page(
        self, window: Window, page: Sequence[Listed], tally: Tally, handled: frozenset[str]
    ) -> None:  # fmt: skip
        self.total.seen += len(page)
        wanted = [each for each in page if self._is_new(each, tally)]
        if len(tally.matched) > IDS_MAX:
            raise _TooManyError
        if not wanted:
            return
        tally.listed += len(wanted)
        missing, different, added = await self._look_up(window, wanted, tally, handled)
        if self._books is None:
            found = [_missing(listed, window) for listed in missing]
        else:
            compared = await self._books.find(missing)
            different += [each for each in compared if each.kind == "different"]
            found = [each for each in compared if each.kind == "missing"]
            found += [_missing(listed, window) for listed in missing if listed.unreadable]
        tally.different += len(different)
        await self._claim.record([*found, *different])
        await self._note_added(added)
        readable = [each for each in wanted if each.parsed.event_id not in added and not each.unreadable]
        await self._resolve(readable, [*found, *different])
        await self._handle_missing(missing, {each.event_id for each in found}, tally, handled)

    async def _look_up(
        self, window: Window, page: Sequence[Listed], tally: Tally, handled: frozenset[str]
    ) -> tuple[list[Listed], list[Difference], dict[str, str]]:
        """Return what is missing, what differs, and what waits because it was added: entries by the events' ids."""
        missing, different, added = list[Listed](), list[Difference](), dict[str, str]()
        for known in await self._lookup.find(page):
            event_id = known.listed.parsed.event_id
            self._is_own_account = self._is_own_account or known.arrived
            match known.state:
                case State.WAITING:
                    tally.waiting += event_id not in handled
                    if known.added_as:
                        added[event_id] = known.added_as
                case State.DEAD:
                    tally.dead += 1
                case State.MISSING:
                    missing.append(known.listed)
                    if known.is_lost:
                        self._lost.add(event_id)
                case State.APPLIED:
                    different += self._differs(window, known, tally)
        return missing, different, added

    def _is_new(self, listed: Listed, tally: Tally) -> bool:
        """Return whether a listed event is compared and was not met before in this window; note that it is met now."""
        parsed = listed.parsed
        is_known = parsed.event_id in tally.matched or parsed.event_id in self._compared
        is_wanted = self._is_wanted(parsed.type) or (listed.unreadable and not parsed.type)
        if is_known or not is_wanted:
            return False
        if self._books is None and parsed.occurred_at is not None and parsed.occurred_at >= self._until:
            return False
        tally.matched.add(parsed.event_id)
        if isinstance(self._api, EventList) and self._api.ids_differ:
            tally.said.add((parsed.type, parsed.resource, parsed.occurred_at))
        return True

    def _differs(self, window: Window, known: Known, tally: Tally) -> list[Difference]:
        recorded = known.recorded
        if recorded is None:
            return []
        tally.matched.add(recorded.event_id)
        if recorded.occurred_at is not None and recorded.occurred_at not in window and len(self._strays) < IDS_MAX:
            self._strays.add(recorded.event_id)
        as_listed = self._event(known.listed) if not known.listed.unreadable else None
        difference = find_difference(known.listed, recorded, as_listed) if as_listed else None
        return [difference] if difference else []

    async def _handle_missing(
        self, listed: Sequence[Listed], missing: set[str], tally: Tally, handled: frozenset[str]
    ) -> None:
        """Count what is missing, and add it to what is to be repaired."""
        new = [each for each in listed if each.parsed.event_id in missing - handled]
        tally.missing.update(each.parsed.event_id for each in new)
        self.total.missing += len(new)
        for each in new:
            event = self._event(each) if not each.unreadable else None
            if event is None:
                self.total.unreadable += 1
            elif self._repair is not None:
                self._buffer.append(event)
        if len(self._buffer) >= EVENTS_AT_ONCE or sum(len(event.body) for event in self._buffer) >= BYTES_AT_ONCE:
            await self._flush()

    async def _flush(self) -> None:
        """Add to the stream what is to be repaired. Raise UnknownAccountError if nothing shows whose list it is."""
        events, self._buffer = self._buffer, []
        if self._repair is None or not events:
            return
        if not (self.has_known or await lists_what_arrived(self._connection, self._api)):
            raise UnknownAccountError
        self._is_own_account = True
        for start in range(0, len(events), EVENTS_AT_ONCE):
            done = await self._repair.add(events[start : start + EVENTS_AT_ONCE], self._lost)
            self.total.repaired += len(done.entry_ids)
            self.total.unproven += len(done.unproven)
            self.total.waiting += len(done.waiting)
            self.total.missing -= len(done.waiting) + len(done.applied)
        self._lost.clear()

    async def _note_added(self, added: Mapping[str, str]) -> None:
        """Note the entries that were added by a run which ended before it could note them."""
        unnoted = {each.event_id for each in self._open if each.kind == "missing" and each.repaired_at is None}
        if noted := {event_id: entry_id for event_id, entry_id in added.items() if event_id in unnoted}:
            await self._claim.record_repairs(noted)

    async def _resolve(self, listed: Sequence[Listed], found: Sequence[Difference]) -> None:
        """Close findings that are open about events or objects of this page, and do not hold any more."""
        if not self._open:
            return
        still = {(each.kind, each.event_id) for each in found}
        names = {name for each in listed for name in (each.parsed.event_id, *each.aliases)}
        objects = {_object(each.parsed.type, each.parsed.event_id) for each in listed} if self._books else set()
        closed = [
            each for each in self._open
            if (each.event_id in names or _object(each.type, each.event_id) in objects)
            and (each.kind, each.event_id) not in still
        ]  # fmt: skip
        for kind in FINDING_KINDS:
            await self._claim.resolve(kind, [each.event_id for each in closed if each.kind == kind])
        self._open = [each for each in self._open if each not in closed] if closed else self._open

    async def _find_extra(self, window: Window, tally: Tally) -> None:
        query = RECONCILE.bind(
            "list_delivered", source=self._claim.source, since=window.since, until=window.until, late_s=LATE_S,
            limit=IDS_MAX + 1,
        )  # fmt: skip
        rows = await self._connection.fetch(*query)
        if len(rows) > IDS_MAX:
            raise _TooManyError
        for row in rows:
            is_listed = row["event_id"] in tally.matched or (
                (row["type"], row["resource"], row["occurred_at"]) in tally.said
            )
            is_extra = not is_listed and self._is_wanted(row["type"])
            if is_extra and len(self.total.extra) < EXTRA_MAX:
                difference = "it was delivered, and the provider does not list it"
                self.total.extra[row["event_id"]] = Difference(kind="extra", difference=difference, **row)

    def _event(self, listed: Listed) -> Event | None:
        """Return a listed event as it would be published; None where no envelope can carry it."""
        try:
            return to_event(self._api.access, self._api.name, listed, datetime.now(UTC), "reconcile")
        except ApiUnexpectedError:
            return None


def _missing(listed: Listed, window: Window) -> Difference:
    """Return the finding about what never arrived. Nothing may count as complete that is younger than it."""
    parsed = listed.parsed
    said = [f"{UNREADABLE}: {listed.unreadable}" if listed.unreadable else MISSING]
    if parsed.occurred_at is None:
        said.append(UNTIMED)
    return Difference(
        "missing", parsed.event_id, parsed.type, parsed.resource, parsed.occurred_at or window.since, "; ".join(said)
    )


def _object(type_: str, event_id: str) -> tuple[str, str]:
    """Return what identifies an object in all its versions: an event of it is named `reconcile:<id>:<version>`."""
    return type_, event_id.rpartition(":")[0]
