"""Asking a stand-in of Mercado Pago's API, and reading what it says."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from contract.event import Event
from contract.facts import Fact
from providers.api import Limits, Listed, Window
from providers.apis import build_apis
from providers.mercadopago.api import MercadoPagoApi
from providers.mercadopago.facts import extract_facts
from tests.support.cases.base import NOW
from tests.support.stand_ins.mercadopago import TOKEN, MercadoPagoStandIn

QUICK = Limits(timeout_s=5, attempts_max=2, requests_per_s_max=10_000)
DAY = Window(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
PAID = Fact("captured", 5880, "BRL", "1")


def access(**more: object) -> MercadoPagoApi:
    table = {"provider": "mercadopago", "api_key": TOKEN, "money_from": "payments", **more}
    api = build_apis({"mp": table})["mp"]
    assert isinstance(api, MercadoPagoApi)
    return api


@asynccontextmanager
async def asking(stand_in: MercadoPagoStandIn, **more: object) -> AsyncIterator[MercadoPagoApi]:
    api = access(api_url=stand_in.url, **more)
    await api.open(QUICK)
    try:
        yield api
    finally:
        await api.close()


def notified(type_: str, id_: str, headers: Mapping[str, str] | None = None) -> Event:
    """Return the event of a notification: its id is signed, and names no amount."""
    signed = {"data.id": id_} if headers is None else headers
    return Event("mp", "mp", "mercadopago", "e_1", type_, id_.lower(), NOW, NOW, "reference", b"{}", signed)


async def facts_of(api: MercadoPagoApi, event: Event) -> list[Fact]:
    """Return the facts of what the API says about an event's object, as they are booked."""
    assert api.must_ask(event)
    said = await api.fetch(event)
    headers = {**event.headers, **said.headers}
    return list(extract_facts(replace(event, body=said.body, type=said.type, headers=headers, signed="api")))


def listed_facts(listed: Listed) -> list[Fact]:
    parsed = listed.parsed
    return list(
        extract_facts(
            Event("mp", "mp", "mercadopago", parsed.event_id, parsed.type, parsed.resource, parsed.occurred_at, NOW,
                  "api", listed.body, parsed.headers)
        )
    )  # fmt: skip


async def everything(api: MercadoPagoApi, window: Window = DAY) -> list[Listed]:
    return [listed async for page in api.list_payments(window) for listed in page]
