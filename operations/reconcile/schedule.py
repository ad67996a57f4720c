"""Comparing each source again and again, as its `reconcile_every` says; one program at a time, however many run."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

import structlog

from operations.log import Act
from operations.reconcile.errors import BusyError, ReconcileError
from operations.reconcile.request import Request, forget, read_requests
from operations.reconcile.run import Reconciliation, Wanted
from operations.servers import Servers
from providers.api import Api, ApiError
from sql.connect import UnreachableError

LOOK_EVERY_S = 15.0
"""How often a program looks whether a source is due, jittered."""

JITTER = 0.1
"""By which part of `reconcile_every` the next run may come earlier or later, so that sources do not go in step."""

ACTOR = "reconciler"

log = structlog.get_logger()


class Schedule:
    """The sources with `reconcile_every`, by their names."""

    def __init__(self, servers: Servers, apis: Mapping[str, Api]) -> None:
        self._servers = servers
        self._apis = apis

    async def run(self) -> None:
        """Compare what is due, until cancelled: each source by itself, so that a slow provider holds up no other."""
        async with asyncio.TaskGroup() as group:
            for source in self._apis:
                group.create_task(self._run_source(source), name=f"reconcile {source}")

    async def run_once(self) -> int:
        """Compare every source that is due. Return the exit code: 1 if one failed."""
        results = [await self.compare(source) for source in self._apis]
        return 0 if all(results) else 1

    async def compare(self, source: str) -> bool:
        """Compare one source if it is due. Return False if that failed, which is recorded, and tried again later."""
        api = self._apis[source]
        every = api.access.reconcile_every or timedelta(hours=1)
        next_in = every * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter
        try:
            request = await self._find_request(source)
            act = request.act if request else Act(ACTOR, f"reconcile_every of [{source}]", "command")
            repair = api.access.reconcile_repair or (request is not None and request.repair)
            since = request.since if request else None
            wanted = Wanted(repair=repair, since=since, at_once=False, next_in=next_in)
            await Reconciliation(self._servers, api, act).run(wanted)
            if request:
                await self._forget(request)
        except BusyError:
            return True
        except (ApiError, ReconcileError):  # logged and recorded where it happened
            return False
        except UnreachableError as error:
            log.warning("a source could not be reconciled; it is tried again", source=source, reason=str(error))
            return False
        return True

    async def _find_request(self, source: str) -> Request | None:
        """Return what a person asked for of a source, if anybody did."""
        async with self._servers.postgres() as connection:
            return (await read_requests(connection)).get(source)

    async def _forget(self, request: Request) -> None:
        async with self._servers.postgres() as connection:
            await forget(connection, request)

    async def _run_source(self, source: str) -> None:
        while True:
            try:
                await self.compare(source)
            except Exception:
                log.exception("a source could not be reconciled; it is tried again", source=source)
            await asyncio.sleep(LOOK_EVERY_S * random.uniform(0.5, 1))  # noqa: S311 - so that programs do not look in step
