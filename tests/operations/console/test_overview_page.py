"""The first page."""

import json
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from consumers.settings import Settings
from operations.console.chart import charts
from operations.console.sampler import take_sample
from operations.overview import SAMPLE_EVERY, SAMPLES_MAX, LastHour, Sample
from tests.support.console import RunningConsole, running_console
from tests.support.consuming import POISON, Workers, failing
from tests.support.events import contract_event

START = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)


def hour(*counters: tuple[int | None, int | None, int | None]) -> LastHour:
    """Samples with these counters."""
    samples = [Sample(START + number * SAMPLE_EVERY, *each) for number, each in enumerate(counters)]
    last_hour = LastHour()
    last_hour.samples.extend(samples)
    return last_hour


def test_rates_are_differences_of_counters() -> None:
    rates = hour((0, 0, 0), (150, 30, 1), (300, 300, 1)).rates()
    assert [(each.entered, each.left, each.backlog, each.dead_letters) for each in rates] == [
        (10, 2, 120, 1),
        (10, 18, 0, 1),
    ]


def test_a_server_that_was_away_and_a_counter_that_began_anew_are_gaps() -> None:
    last_hour = hour((10, 10, 0), (None, None, None), (25, 10, None), (0, 0, 0), (15, 0, 0))
    assert [each.entered for each in last_hour.rates()] == [None, None, None, 1]
    rates_chart = charts(last_hour.rates(), START + 4 * SAMPLE_EVERY)[0]
    assert rates_chart.lines[0].parts == ["600.0,2.0 600.0,2.0"]
    assert rates_chart.text.startswith("in: 1 now, between 1 and 1")


def test_no_more_than_an_hour_is_kept() -> None:
    last_hour = hour(*[(number, number, 0) for number in range(SAMPLES_MAX + 50)])
    assert len(last_hour.samples) == SAMPLES_MAX
    assert len(last_hour.samples) * SAMPLE_EVERY == timedelta(hours=1)


async def test_cards_count_what_waits_and_lead_on(console: RunningConsole, workers: Workers) -> None:
    await workers.stream.publish(contract_event(POISON))
    async with workers.working(failing(), max_attempts=1):
        await workers.drained()
    await workers.publish(3)
    await workers.redis.hset(workers.keys.failures, "1-1", "{}")
    page = await console.viewer.get("/")
    assert page.status == 200
    for expected in ('href="/dead"><b>1</b> dead letter<', "<b>3</b> in the backlog",
                     "<b>1</b> event is tried again after", 'href="/workers"><b>0</b>',
                     "<h2>The last hour</h2>", "appendfsync"):  # fmt: skip
        assert expected in page.text
    assert 'style="' not in page.text


async def test_a_sample_counts_entries_and_dead_letters(console: RunningConsole, workers: Workers) -> None:
    await workers.publish(4)
    async with workers.working():
        await workers.drained()
    await workers.publish(1, first=4)
    sample = await take_sample(console.site)
    assert (sample.added, sample.acked, sample.dead_letters) == (5, 4, 0)


async def test_the_numbers_are_those_of_the_picture(console: RunningConsole) -> None:
    page = await console.viewer.get("/overview.json")
    document = json.loads(page.text)
    assert document["charts"].keys() == {"rates", "backlog", "dead"}
    assert document["every_s"] == 15
    assert (await console.stranger.get("/overview.json")).status != 200


async def test_each_half_is_shown_without_the_other(settings: Settings) -> None:
    without_redis = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1")})
    async with running_console(without_redis) as console:
        page = await console.viewer.get("/")
        assert page.status == 200
        assert "Redis does not answer" in page.text
        assert "<b>0</b> dead letters" in page.text
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:1/x")})
    async with running_console(nowhere) as console:
        page = await console.viewer.get("/")
        assert page.status == 200
        assert "PostgreSQL" in page.text
        assert "<b>0</b> in the backlog" in page.text
