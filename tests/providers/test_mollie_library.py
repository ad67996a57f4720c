"""Mollie's own package makes the same requests of the stand-in as we do, and gets the same objects."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mollie.api.client import Client
from mollie.api.error import NotFoundError, UnauthorizedError

from providers.mollie.api import EMBED, PAGE_ITEMS
from tests.support.asking_mollie import asking, everything, posted
from tests.support.stand_ins.mollie import KEY, MollieStandIn, authorized_first, part, payment


@pytest.fixture
async def stand_in() -> AsyncIterator[MollieStandIn]:
    async with MollieStandIn().serving() as server:
        began = datetime(2026, 11, 20, tzinfo=UTC)
        server.add(
            *(payment(f"tr_{each}", (began + timedelta(seconds=each)).isoformat()) for each in range(PAGE_ITEMS)),
            authorized_first("tr_first", began.isoformat()), part("cpt_1", "tr_first", "20.00", "succeeded"),
            part("re_1", "tr_1", "5.00", "refunded"), part("chb_1", "tr_2", "5.00", None),
        )  # fmt: skip
        yield server


def client_of(stand_in: MollieStandIn, key: str = KEY) -> Any:
    client = Client(api_endpoint=stand_in.url)
    client.set_api_key(key)
    return client


async def test_the_same_requests_and_the_same_objects(stand_in: MollieStandIn) -> None:
    client = client_of(stand_in)

    def ask() -> tuple[list[str], dict[str, Any]]:
        page = client.payments.list(limit=PAGE_ITEMS)
        listed = [each.id for each in page] + [each.id for each in page.get_next()]
        listed += [each.id for each in client.refunds.list(limit=PAGE_ITEMS)]
        listed += [each.id for each in client.chargebacks.list(limit=PAGE_ITEMS)]
        return listed, dict(client.payments.get("tr_first", embed=EMBED))

    listed, fetched = await asyncio.to_thread(ask)
    theirs = [(each.path, each.query) for each in stand_in.requests]
    stand_in.requests.clear()
    async with asking(stand_in) as api:
        found = [each.parsed.event_id.split(":")[1] for each in await everything(api)]
        said = await api.fetch(posted("tr_first"))
    ours = [(each.path, each.query) for each in stand_in.requests]
    assert [each for each in theirs if each not in ours] == []
    assert [each for each in ours if each not in theirs] == []
    assert found == listed
    assert b'"cpt_1"' in said.body
    assert fetched["_embedded"]["captures"][0]["id"] == "cpt_1"


async def test_errors_are_those_that_the_package_knows(stand_in: MollieStandIn) -> None:
    with pytest.raises(NotFoundError):
        await asyncio.to_thread(client_of(stand_in).payments.get, "tr_unknown")
    with pytest.raises(UnauthorizedError):
        await asyncio.to_thread(client_of(stand_in, "live_" + "b" * 30).payments.get, "tr_1")
