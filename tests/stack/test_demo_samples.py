import json
import random
from collections import Counter
from datetime import UTC, datetime

import pytest

from providers import PROVIDERS
from providers.base import Headers, Request
from stack.demo.samples import CURRENCIES, PATHS, Sample, Scenario, major_units, shuffled
from stack.demo.scenarios import EVENTS_PER_PAYMENT, PAYMENTS, scenarios

SECRETS = {"STRIPE_WEBHOOK_SECRET": "whsec_x", "WEBHOOK_SECRET": "y"}
SOURCES = {"stripe": ("stripe", "whsec_x"), "default": ("hmac", "y")}


def sample_scenarios(seed: int = 1, *, with_conflict: bool = False) -> list[Scenario]:
    return scenarios("run", random.Random(seed), with_conflict=with_conflict)


def test_every_payment_has_eight_events_with_ids_of_their_own() -> None:
    found = sample_scenarios()
    assert len(found) == PAYMENTS
    assert {len(scenario.events) for scenario in found} == {EVENTS_PER_PAYMENT}
    ids = [event.event_id for scenario in found for event in scenario.events]
    assert len(set(ids)) == len(ids)


def test_every_status_and_every_currency_occurs() -> None:
    payments = [scenario.payment for scenario in sample_scenarios()]
    assert {payment.currency for payment in payments} == set(CURRENCIES)
    assert {payment.status for payment in payments} == {
        "succeeded", "partially_refunded", "refunded", "disputed", "charged_back", "failed", "canceled",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_payment_is_the_sum_of_its_transfers(seed: int) -> None:
    for scenario in sample_scenarios(seed):
        sums: Counter[str] = Counter()
        for transfer in scenario.transfers:
            assert transfer.amount > 0
            sums[transfer.transfer_key.partition(":")[0]] += transfer.amount
        assert sums["capture"] == scenario.payment.captured
        assert sums["refund"] - sums["refund_failed"] == scenario.payment.refunded
        assert sums["dispute"] - sums["dispute_reinstated"] == scenario.payment.disputed


def test_a_contradictory_scenario_is_added_only_on_request() -> None:
    assert not any(scenario.conflicting_key for scenario in sample_scenarios())
    *others, last = sample_scenarios(with_conflict=True)
    assert others == sample_scenarios()
    assert len({each.amount for each in last.transfers if each.transfer_key == last.conflicting_key}) == 2


def test_every_event_is_sent_equally_often_and_new_ones_appear_until_near_the_end() -> None:
    events = [event for scenario in sample_scenarios() for event in scenario.events]
    order = shuffled(events, 25, random.Random(1))
    assert set(Counter(order).values()) == {25}
    firsts = [order.index(event) for event in events]
    assert firsts != sorted(firsts)
    assert sum(first > len(order) / 2 for first in firsts) > len(events) / 10


@pytest.mark.parametrize("source", list(PATHS))
async def test_the_gateway_verifies_the_samples_and_reads_their_ids(source: str) -> None:
    provider, secret = SOURCES[source]
    settings = {"source": "s", "provider": provider, "namespace": "s", "secrets": [secret]}
    gateway = PROVIDERS[provider](PROVIDERS[provider].Source.model_validate(settings))
    samples = [
        (scenario, event) for scenario in sample_scenarios() for event in scenario.events if event.source == source
    ]
    assert samples
    for scenario, sample in samples:
        [delivery] = await gateway.verify(_request(sample))
        assert delivery.event.event_id == sample.event_id
        assert delivery.event.resource == scenario.payment.payment_id


def test_amounts_are_never_floats() -> None:
    events = [event for scenario in sample_scenarios() for event in scenario.events]
    amounts = [json.loads(event.body).get("amount") for event in events if event.source == "default"]
    assert amounts
    assert all(isinstance(amount, str) and "E" not in amount for amount in amounts)
    assert major_units(123_456_789_012_345_678, "EUR") == "1,234,567,890,123,456.78"
    assert major_units(-5, "KWD") == "-0.005"
    assert major_units(5, "JPY") == "5"


def _request(sample: Sample) -> Request:
    headers = [(name.encode(), value.encode()) for name, value in sample.headers(SECRETS).items()]
    return Request("POST", sample.path, Headers(headers), sample.body, datetime.now(UTC))
