"""Asking a stand-in of Mollie's API, and reading what it says."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from contract.event import Event
from contract.facts import Fact
from providers.api import Limits, Listed, Window
from providers.apis import build_apis
from providers.mollie import facts as mollie
from providers.mollie import fetched
from providers.mollie.api import MollieApi
from tests.support.cases.base import NOW
from tests.support.stand_ins.mollie import KEY, MollieStandIn

QUICK = Limits(timeout_s=5, attempts_max=2, requests_per_s_max=10_000)
DAY = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
PAID = Fact("captured", 2995, "EUR", "tr_1", either_whole_or_parts=True)


def access(provider: str = "mollie_classic", **more: object) -> MollieApi:
    api = build_apis({"m": {"provider": provider, "api_key": KEY, **more}})["m"]
    assert isinstance(api, MollieApi)
    return api


@asynccontextmanager
async def asking(stand_in: MollieStandIn, provider: str = "mollie_classic", **more: object) -> AsyncIterator[MollieApi]:
    api = access(provider, api_url=stand_in.url, **more)
    await api.open(QUICK)
    try:
        yield api
    finally:
        await api.close()


def posted(id_: str = "tr_1", type_: str = "payment") -> Event:
    """Return the event of a classic webhook."""
    body = f"id={id_}".encode()
    return Event("m", "m", "mollie_classic", f"{id_}:t", type_, id_, None, NOW, "reference", body)


def simple(type_: str, id_: str) -> Event:
    """Return the event of a next-generation webhook whose payload only names the object."""
    body = json.dumps({"id": "event_1", "type": type_, "entityId": id_}).encode()
    return Event("m", "m", "mollie", "event_1", type_, id_, NOW, NOW, "body", body)


async def facts_of(api: MollieApi, event: Event) -> list[Fact]:
    """Return the facts of what the API says about an event's object, as they are booked."""
    assert api.must_ask(event)
    said = await api.fetch(event)
    asked = replace(event, body=said.body, type=said.type, headers={**event.headers, **said.headers}, signed="api")
    extract = mollie.extract_facts if event.provider == "mollie" else fetched.extract_facts
    return list(extract(asked))


def listed_facts(listed: Listed) -> list[Fact]:
    parsed = listed.parsed
    event = Event("m", "m", "mollie", parsed.event_id, parsed.type, parsed.resource, NOW, NOW, "api", listed.body)
    return list(mollie.extract_facts(event))


async def everything(api: MollieApi, window: Window = DAY) -> list[Listed]:
    return [listed async for page in api.list_payments(window) for listed in page]
