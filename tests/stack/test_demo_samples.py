import json
import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from providers import PROVIDERS
from providers.base import Headers, Request
from stack.demo.samples import CURRENCIES, PATHS, Sample, Story, major_units, shuffled
from stack.demo.scenarios import EVENTS_PER_PAYMENT, PAYMENTS, stories

SECRETS = {"STRIPE_WEBHOOK_SECRET": "whsec_x", "WEBHOOK_SECRET": "y"}
SOURCES = {"stripe": ("stripe", "whsec_x"), "default": ("hmac", "y")}


def told(seed: int = 1, *, with_conflict: bool = False) -> list[Story]:
    return stories("run", random.Random(seed), with_conflict=with_conflict)


def test_so_many_payments_of_so_many_events() -> None:
    found = told()
    assert len(found) == PAYMENTS
    assert {len(story.events) for story in found} == {EVENTS_PER_PAYMENT}
    ids = [event.event_id for story in found for event in story.events]
    assert len(set(ids)) == len(ids)


def test_every_outcome_and_every_currency_is_among_them() -> None:
    outcomes = [story.outcome for story in told()]
    assert {outcome.currency for outcome in outcomes} == set(CURRENCIES)
    assert {outcome.status for outcome in outcomes} == {
        "succeeded", "partially_refunded", "refunded", "disputed", "charged_back", "failed", "canceled",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_an_outcome_is_the_sum_of_its_movements(seed: int) -> None:
    for story in told(seed):
        sums: Counter[str] = Counter()
        for movement in story.movements:
            assert movement.amount > 0
            sums[movement.name.partition(":")[0]] += movement.amount
        assert sums["capture"] == story.outcome.captured
        assert sums["refund"] - sums["refund_failed"] == story.outcome.refunded
        assert sums["dispute"] - sums["dispute_reinstated"] == story.outcome.disputed


def test_a_contradiction_only_where_it_is_wanted() -> None:
    assert not any(story.contradicted for story in told())
    *others, last = told(with_conflict=True)
    assert others == told()
    assert len({each.amount for each in last.movements if each.name == last.contradicted}) == 2


def test_every_event_is_sent_so_often_and_new_ones_come_up_until_near_the_end() -> None:
    events = [event for story in told() for event in story.events]
    order = shuffled(events, 25, random.Random(1))
    assert set(Counter(order).values()) == {25}
    firsts = [order.index(event) for event in events]
    assert firsts != sorted(firsts)
    assert sum(first > len(order) / 2 for first in firsts) > len(events) / 10


@pytest.mark.parametrize("source", list(PATHS))
async def test_the_gateway_takes_them_for_what_they_say(source: str) -> None:
    provider, secret = SOURCES[source]
    settings = {"source": "s", "provider": provider, "namespace": "s", "secrets": [secret]}
    gateway = PROVIDERS[provider](PROVIDERS[provider].Source.model_validate(settings))
    samples = [(story, event) for story in told() for event in story.events if event.source == source]
    assert samples
    for story, sample in samples:
        [delivery] = await gateway.verify(_request(sample))
        assert delivery.event.event_id == sample.event_id
        assert delivery.event.resource == story.outcome.payment_id


def test_money_is_never_a_float() -> None:
    events = [event for story in told() for event in story.events]
    amounts = [json.loads(event.body).get("amount") for event in events if event.source == "default"]
    assert amounts
    assert all(isinstance(amount, str) and "E" not in amount for amount in amounts)
    assert major_units(123_456_789_012_345_678, "EUR") == "1,234,567,890,123,456.78"
    assert major_units(-5, "KWD") == "-0.005"
    assert major_units(5, "JPY") == "5"


def _request(sample: Sample) -> Request:
    headers = [(name.encode(), value.encode()) for name, value in sample.headers(SECRETS).items()]
    return Request("POST", sample.path, Headers(headers), sample.body, datetime.now(UTC))
