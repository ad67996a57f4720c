"""The numbers of a comparison, which types it is about, and how its pages are read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from operations.reconcile.store import Counts, Difference
from providers.api import Api, Listed
from providers.apis import money_types


@dataclass(slots=True)
class Tally:
    """The numbers of one window. `matched`: the ids of its events, as they are listed and as they are recorded;
    `missing`: those that were found missing in it. `said`: type, resource and time of what was listed, where deliveries
    have other ids: an event that was added and is delivered later is recorded twice.
    """

    listed: int = 0
    waiting: int = 0
    dead: int = 0
    different: int = 0
    matched: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    said: set[tuple[str, str, datetime | None]] = field(default_factory=set)


@dataclass(slots=True)
class Total:
    """The numbers of a run, and what is named of it. `unproven`: added, but not known to be on disk. `unreadable`: of
    the missing ones, those that cannot be read, or that no envelope can carry.
    """

    listed: int = 0
    waiting: int = 0
    dead: int = 0
    different: int = 0
    missing: int = 0
    repaired: int = 0
    unproven: int = 0
    unreadable: int = 0
    seen: int = 0
    """What the provider listed, of whatever type."""
    extra: dict[str, Difference] = field(default_factory=dict)

    def add(self, tally: Tally) -> None:
        """Add the numbers of a window that is done."""
        self.listed += tally.listed
        self.waiting += tally.waiting
        self.dead += tally.dead
        self.different += tally.different

    def counts(self) -> Counts:
        """Return the numbers as they are kept."""
        return Counts(
            listed=self.listed, missing=self.missing, repaired=self.repaired, waiting=self.waiting, dead=self.dead,
            extra=len(self.extra), different=self.different,
        )  # fmt: skip


def type_filter(api: Api) -> Callable[[str], bool]:
    """Return whether events of a type are compared: those that report money, or those that the source's table names."""
    if patterns := api.access.reconcile_types:
        return lambda type_: any(fnmatchcase(type_, pattern) for pattern in patterns)
    types = money_types(api.name)
    return lambda type_: types is None or type_ in types


async def read_ahead(pages: AsyncIterator[Sequence[Listed]]) -> AsyncIterator[Sequence[Listed]]:
    """Yield the pages, each while the next one is being read already."""

    async def read() -> Sequence[Listed] | None:
        return await anext(pages, None)

    reading = asyncio.create_task(read())
    try:
        while (page := await reading) is not None:
            reading = asyncio.create_task(read())
            yield page
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading
