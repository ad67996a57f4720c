import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from gateway.providers import PROVIDERS
from gateway.providers.base import Headers, Request
from stack.samples import CURRENCIES, Outcome, Sample, major_units, make, shuffled_twice

SECRETS = {"STRIPE_WEBHOOK_SECRET": "whsec_x", "WEBHOOK_SECRET": "y"}
SOURCES = {"/webhooks/stripe": ("stripe", "whsec_x"), "/webhook": ("hmac", "y")}


def test_every_outcome_and_every_currency_is_among_them() -> None:
    _, outcomes = make("run", 100, seed=1)
    assert {outcome.currency for outcome in outcomes} == set(CURRENCIES)
    assert len({outcome.status for outcome in outcomes}) == 7


def test_every_event_is_sent_twice() -> None:
    events, _ = make("run", 20, seed=1)
    assert set(Counter(shuffled_twice(events, seed=1)).values()) == {2}
    assert len({event.event_id for event in events}) == len(events)


@pytest.mark.parametrize("path", list(SOURCES))
async def test_the_gateway_takes_them_for_what_they_say(path: str) -> None:
    events, outcomes = make("run", 20, seed=1)
    provider, secret = SOURCES[path]
    source = PROVIDERS[provider].Source.model_validate(
        {"source": "s", "provider": provider, "namespace": "s", "secrets": [secret]}
    )
    for sample in (event for event in events if event.path == path):
        [delivery] = await PROVIDERS[provider](source).verify(_request(sample))
        assert delivery.event.event_id == sample.event_id
        assert delivery.event.resource in {outcome.payment_id for outcome in outcomes}


def test_money_is_never_a_float() -> None:
    events, _ = make("run", 40, seed=1)
    amounts = [json.loads(event.body).get("amount") for event in events if event.path == "/webhook"]
    assert amounts
    assert all(isinstance(amount, str) and "E" not in amount for amount in amounts)
    assert major_units(123_456_789_012_345_678, "EUR") == "1,234,567,890,123,456.78"
    assert major_units(5, "KWD") == "0.005"
    assert major_units(5, "JPY") == "5"


def test_a_refund_is_never_more_than_what_was_paid() -> None:
    _, outcomes = make("run", 200, seed=3)
    assert all(outcome.refunded <= outcome.captured for outcome in outcomes)
    assert Outcome("a", "failed", "EUR", 0, 0, 0) < Outcome("b", "failed", "EUR", 0, 0, 0)


def _request(sample: Sample) -> Request:
    headers = [(name.encode(), value.encode()) for name, value in sample.headers(SECRETS).items()]
    return Request("POST", sample.path, Headers(headers), sample.body, datetime.now(UTC))
