"""PayPal is compared with its list, which names events by other ids than their deliveries have."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.handlers.payments import builtin
from contract.accounts import PostingRules
from contract.event import Event
from operations.reconcile.run import Reconciliation, Report, Wanted
from operations.reconcile.store import list_findings
from operations.servers import Servers
from providers import api_client
from providers.api import Limits
from providers.oauth import ClientAccess
from providers.paypal.api import PayPalApi
from tests.support.consuming import Workers
from tests.support.reconciling import ACT, NOW, SINCE, operations_settings
from tests.support.stand_ins.paypal import CLIENT_ID, CLIENT_SECRET, PayPal
from tests.support.stories.base import published

TRUST = builtin({"paypal": PostingRules(trust="all")})
TRANSFERS = "SELECT movement, amount FROM transfers ORDER BY movement"


@pytest.fixture
async def paypal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PayPal]:
    monkeypatch.setattr(api_client, "BACKOFF_S", 0.001)
    monkeypatch.setattr(PayPalApi, "limits", Limits(requests_per_s_max=10_000))
    async with PayPal("https://api.paypal.com").serving() as server:
        for number in range(6):
            at = (NOW - timedelta(minutes=60, milliseconds=number)).isoformat(timespec="milliseconds")
            capture = server.has_capture(f"C{number}", "10.00")
            server.has_event(f"WH-{number}", "PAYMENT.CAPTURE.COMPLETED", capture, at, "capture")
        yield server


def delivered(body: dict[str, Any]) -> Event:
    """Return a delivery of a listed event, which has an id of its own."""
    headers = {"PAYPAL-TRANSMISSION-ID": f"transmission-{body['id']}", "PAYPAL-TRANSMISSION-TIME": body["create_time"]}
    return replace(published("paypal", body, headers), source="paypal", namespace="paypal", signed="weak")


async def arrive(workers: Workers, *events: Event) -> None:
    for event in events:
        await workers.stream.publish(event)
    async with workers.working(TRUST):
        await workers.drained()


async def compared(workers: Workers, paypal: PayPal, *, repair: bool = False) -> Report:
    table = {"source": "paypal", "namespace": "paypal", "api_url": paypal.url}
    access = ClientAccess.model_validate({**table, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
    run = Reconciliation(Servers(operations_settings(workers)), PayPalApi(access), ACT)
    return await run.run(Wanted(repair=repair, since=SINCE, from_nothing=True))


async def test_an_event_is_known_by_what_it_says_and_booked_once_whatever_else_arrives(
    workers: Workers, paypal: PayPal
) -> None:
    await arrive(workers, *map(delivered, paypal.events[:4]))
    counts = (await compared(workers, paypal)).counts
    assert (counts.listed, counts.missing, counts.extra, counts.different) == (6, 2, 0, 0)
    found = await list_findings(workers.connection, only_open=True, limit=10)
    assert {(each.kind, each.event_id, each.resource) for each in found} == {
        ("missing", "WH-4", "C4"), ("missing", "WH-5", "C5"),
    }  # fmt: skip
    assert (await compared(workers, paypal, repair=True)).counts.repaired == 2
    await arrive(workers)
    assert (await compared(workers, paypal, repair=True)).counts.missing == 0
    once = [(f"capture:C{number}", 1000) for number in range(6)]
    assert [tuple(row) for row in await workers.rows(TRANSFERS)] == once
    await arrive(workers, *map(delivered, paypal.events[4:]))
    assert [tuple(row) for row in await workers.rows(TRANSFERS)] == once
    assert (await compared(workers, paypal)).counts.extra == 0
