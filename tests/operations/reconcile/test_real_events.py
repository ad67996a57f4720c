"""The providers that list events, compared for real: what was lost is found, added under its own id, and only once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contract.event import Event
from operations.reconcile.run import Reconciliation, Report, Wanted
from operations.servers import Servers
from providers.api import Api
from providers.apis import build_apis
from providers.base import Headers, Request
from sql.audit import audit
from tests.support.consuming import Workers
from tests.support.event_lists import LISTS, ListCase
from tests.support.provider_cases import CASES
from tests.support.reconciling import ACT, NOW, SINCE, operations_settings

ORIGINS = "SELECT event_id, signed, origin FROM events ORDER BY event_id"
every_list = pytest.mark.parametrize("case", LISTS.values(), ids=LISTS)


def api_of(case: ListCase, url: str) -> Api:
    return build_apis({"shop": {**case.table(url), "reconcile_types": ["*"]}})["shop"]


def happened(case: ListCase, number: int, minutes_ago: int = 60) -> dict[str, Any]:
    return case.event(number, NOW - timedelta(minutes=minutes_ago))


def delivered(case: ListCase, event: dict[str, Any]) -> Event:
    """Return the event as the gateway publishes it."""
    provider = CASES[case.provider].source()
    request = Request("POST", "/", Headers([]), case.delivered(event), NOW)
    (parsed,) = provider.parse(request)
    return replace(provider.to_event(request, "body", parsed), source="shop", namespace="shop")


async def compare(workers: Workers, api: Api, *, repair: bool = True) -> Report:
    """Compare once, and have a worker apply what was added."""
    reconciliation = Reconciliation(Servers(operations_settings(workers)), api, ACT)
    report = await reconciliation.run(Wanted(repair=repair, since=SINCE, from_nothing=True))
    async with workers.working():
        await workers.drained()
    assert await workers.dead() == []
    assert await audit(workers.connection) == []
    return report


@every_list
async def test_lost_webhooks_are_found_and_added_once(workers: Workers, case: ListCase) -> None:
    events = [happened(case, number, 300 - number) for number in range(8)]
    arrived, lost, forged = events[::2], events[1::2], happened(case, 9, 290)
    for event in (*arrived, forged):
        await workers.stream.publish(delivered(case, event))
    async with workers.working():
        await workers.drained()
    async with case.stand_in().serving() as server:
        for event in events:
            case.add(server, event)
        server.page = 3  # type: ignore[attr-defined]
        api = api_of(case, server.url)
        report = await compare(workers, api, repair=False)
        assert (report.counts.listed, report.counts.missing, report.counts.different) == (8, 4, 0)
        assert report.counts.extra == (0 if case.provider == "checkout" else 1), "its list does not have everything"
        report = await compare(workers, api)
        assert (report.counts.missing, report.counts.repaired) == (4, 4)
        for event in lost:
            await workers.stream.publish(delivered(case, event))  # they come after all
        report = await compare(workers, api)
    assert (report.counts.missing, report.counts.different) == (0, 0)
    rows = await workers.rows(ORIGINS)
    assert len(rows) == len(events) + 1
    assert sorted(row[1:] for row in rows) == [("api", "reconcile")] * 4 + [("body", "delivery")] * 5


async def test_an_empty_list_of_squares_is_not_complete(workers: Workers) -> None:
    case = LISTS["square"]
    async with case.stand_in().serving() as server:
        server.is_enabled = False  # type: ignore[attr-defined]
        report = await compare(workers, api_of(case, server.url))
        assert report.complete_until is None
        assert any("proves nothing" in note for note in report.notes)
        assert any("events were enabled" in note for note in report.notes)
        server.is_enabled = True  # type: ignore[attr-defined]
        case.add(server, happened(case, 1))
        assert (await compare(workers, api_of(case, server.url))).complete_until is not None
