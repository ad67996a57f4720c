"""What is listed by an API, read as the worker reads it."""

from collections.abc import Iterable
from typing import Any

from contract.facts import Fact
from providers import FACT_EXTRACTORS
from providers.api import Api, Listed, PaymentList, Window, to_event
from tests.support.cases.base import NOW


def facts_of(api: Api, listed: Listed) -> list[Fact]:
    """Return the facts of a listed object, as those of the event that is published of it."""
    return list(FACT_EXTRACTORS[api.name](to_event(api.access, api.name, listed, NOW, "reconcile")))


def said(api: Api, listed: Iterable[Listed]) -> dict[tuple[str, str], list[tuple[str, int, str]]]:
    """Return what is said about each payment: kind, amount and object of each fact, by type and payment."""
    return {
        (each.parsed.type, each.parsed.resource): [
            (fact.kind, fact.amount, fact.object) for fact in facts_of(api, each)
        ]
        for each in listed
    }


async def list_all(api: Any, window: Window) -> list[Listed]:
    """Return all that an API lists of a window."""
    assert isinstance(api, PaymentList)
    return [each async for page in api.list_payments(window) for each in page]
