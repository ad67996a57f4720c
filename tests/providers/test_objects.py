"""Objects of an API as events: any body gives facts or a documented error, and only the API can say them."""

import importlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.event import Event
from contract.facts import Fact
from providers import FACT_EXTRACTORS
from providers.api_objects import PREFIX
from providers.mercadopago.models import FETCHED_ORDER, FETCHED_PAYMENT
from providers.mollie import fetched
from tests.providers.test_facts import BODIES, DOCUMENTED_ERRORS, JSON
from tests.support.cases.base import NOW

OBJECTS = [
    (provider, type_)
    for provider, extract in FACT_EXTRACTORS.items()
    for type_ in getattr(importlib.import_module(extract.__module__), "OBJECTS", ())
]
OBJECTS += [(provider, type_) for provider in ("mollie", "mollie_classic") for type_ in fetched.TYPES]
OBJECTS += [("mercadopago", FETCHED_PAYMENT), ("mercadopago", FETCHED_ORDER)]
every_object = pytest.mark.parametrize(("provider", "type_"), OBJECTS)

MEMBERS = (
    "payload", "payment", "refund", "dispute", "entity", "data", "id", "amount", "currency", "status", "captured",
    "refunds", "reference", "resolution", "transaction", "amount_deducted", "value", "_embedded", "captures",
    "chargebacks", "currency_id", "transaction_amount", "transactions", "payments", "paid_amount",
)  # fmt: skip
WORDS = st.sampled_from(
    ["INR", "NGN", "captured", "refunded", "processed", "success", "open", "won", "declined", "id_1"]
)
SHAPES = st.recursive(
    JSON | WORDS | st.integers(0, 10**6),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), values, max_size=6),
    max_leaves=12,
)


def an_object(provider: str, type_: str, body: bytes) -> Event:
    headers = {"currency": "BRL", "data.id": "id_1"}  # of an order of Mercado Pago's
    return Event(provider, provider, provider, "e_1", type_, "id_1", NOW, NOW, "api", body, headers)


@every_object
@settings(max_examples=60, deadline=None)
@given(body=BODIES | SHAPES.map(lambda value: json.dumps(value).encode()))
def test_any_body_gives_facts_or_a_documented_error(provider: str, type_: str, body: bytes) -> None:
    try:
        facts: Any = FACT_EXTRACTORS[provider](an_object(provider, type_, body))
    except DOCUMENTED_ERRORS:
        return
    assert all(isinstance(fact, Fact) and fact.amount >= 0 for fact in facts)


@every_object
def test_a_type_of_an_object_cannot_be_delivered(provider: str, type_: str) -> None:
    """Whatever a signature covers: a delivery of such a type is recorded, and moves nothing."""
    assert type_.startswith(PREFIX)
    event = an_object(provider, type_, b"{}")
    for signed in ("body", "fields", "weak", "reference"):
        assert list(FACT_EXTRACTORS[provider](replace(event, signed=signed))) == []
