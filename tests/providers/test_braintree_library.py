"""Braintree's own client, pointed at the stand-in of its API, asks as we do, and finds what we list."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from providers.braintree.api import BraintreeApi
from tests.providers.test_braintree_api import DAY, NOON, QUICK, access
from tests.support.cases.braintree import SDK
from tests.support.listed import list_all
from tests.support.stand_ins.braintree import BraintreeStandIn, Claim


@pytest.fixture
async def server() -> AsyncIterator[BraintreeStandIn]:
    async with BraintreeStandIn().serving() as stand_in:
        for number in range(60):
            stand_in.add(f"t{number}", NOON)
        stand_in.claims["d"] = Claim("d", "t1", "open", NOON)
        yield stand_in


def client(server: BraintreeStandIn) -> Any:
    """Return the library's client of the stand-in."""
    port = server.url.rsplit(":", 1)[-1]
    environment = SDK.environment.Environment(
        "stand-in", "127.0.0.1", port, "http://127.0.0.1", False, False, "127.0.0.1", port
    )  # fmt: skip
    keys = {"merchant_id": "a_merchant", "public_key": "pub", "private_key": "priv"}
    return SDK.BraintreeGateway(SDK.Configuration(environment, **keys))


def fields_of(document: bytes) -> list[tuple[str, str, dict[str, str]]]:
    """Return the elements of a request, without white space."""
    return [(each.tag, (each.text or "").strip(), dict(each.attrib)) for each in fromstring(document).iter()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_official_library_asks_and_gets_the_same(server: BraintreeStandIn) -> None:
    asked_by_us = BraintreeApi(access(server.url))
    await asked_by_us.open(QUICK)
    ours = await list_all(asked_by_us, DAY)
    await asked_by_us.close()
    our_requests = [*server.requests]
    server.requests.clear()

    def ask() -> tuple[list[str], list[str]]:
        gateway = client(server)
        created = SDK.TransactionSearch.created_at.between(DAY.since, DAY.until)
        effective = SDK.DisputeSearch.effective_date.between(DAY.since.date(), DAY.until.date() + timedelta(days=1))
        transactions = [each.id for each in gateway.transaction.search(created).items]
        return transactions, [each.id for each in gateway.dispute.search(effective).disputes.items]

    transactions, disputes = await asyncio.to_thread(ask)
    assert {each.parsed.resource for each in ours if "transaction" in each.parsed.type} == set(transactions)
    assert disputes == ["d"]
    theirs, mine = (
        [each for each in requests if each.path.endswith("_ids")] for requests in (server.requests, our_requests)
    )
    assert fields_of(theirs[0].body) == fields_of(mine[0].body)
