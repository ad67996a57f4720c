"""The search for events, and its tail."""

import re
from html import unescape

from operations.console.links import event_path
from tests.support.console import RunningConsole
from tests.support.consuming import POISON, Workers, failing
from tests.support.events import contract_event

HOSTILE = "<script>alert(1)</script>{{7*7}}\u202e'\""


async def fail(workers: Workers, reason: str) -> None:
    await workers.stream.publish(contract_event(POISON, "pi_dead"))
    async with workers.working(failing(ValueError(reason)), max_attempts=1):
        await workers.drained()


async def test_a_query_in_the_address_finds_events(console: RunningConsole, workers: Workers) -> None:
    await workers.publish(3)
    await fail(workers, "the bank of ada@example.org is closed")
    await workers.publish(1, first=7)
    page = await console.operator.get("/events")
    assert page.status == 200
    assert page.text.count("<tr>") == 6, "a heading, three applied, a dead one, a waiting one"
    page = await console.operator.get("/events", {"query": "status:dead reason:bank"})
    assert f'href="{event_path("stripe", POISON)}"' in page.text
    assert 'href="/payments/stripe/pi_dead"' in page.text
    assert 'value="status:dead reason:bank"' in page.text
    assert "ada@example.org" in page.text
    assert "ada@example.org" not in (await console.viewer.get("/events?query=status:dead")).text


async def test_a_wrong_query_is_answered_by_a_sentence(console: RunningConsole) -> None:
    for query in ("nothing:here", "since:never", 'reason:"open', HOSTILE, "x" * 2000):
        page = await console.viewer.get("/events", {"query": query})
        assert page.status == 400, query
        assert page.text.count('role="alert"') == 1
        assert "<script>alert" not in page.text
        assert page.text.count("\u202e") == query.count("\u202e"), "in the field, exactly as it was typed"
    assert (await console.viewer.get("/events?after=x")).status == 400


async def test_pages_follow_each_other_without_a_gap(console: RunningConsole, workers: Workers) -> None:
    await workers.publish(120)
    seen: list[str] = []
    address = "/events?query=source:stripe"
    while True:
        page = await console.viewer.get(address)
        seen += re.findall(r'href="/events/stripe/(evt_\d+)"', page.text)
        following = re.search(r'rel="next" href="([^"]+)"', page.text)
        if not following:
            break
        address = unescape(following[1])
        assert "source%3Astripe" in address
    assert sorted(seen) == sorted(f"evt_{number}" for number in range(120))
    assert "Back to the newest" in page.text


async def test_a_followed_page_asks_for_its_rows_alone(console: RunningConsole, workers: Workers) -> None:
    await workers.publish(1)
    page = await console.viewer.get("/events", {"query": "source:stripe", "follow": "1"})
    assert 'hx-get="/events/tail?query=source%3Astripe" hx-trigger="every 2s"' in page.text
    part = await console.viewer.get("/events/tail", {"query": "source:stripe"})
    assert "evt_0" in part.text
    assert "<html" not in part.text
    assert "hx-get" not in (await console.viewer.get("/events")).text


async def test_nothing_that_a_sender_wrote_becomes_markup_in_the_list(
    console: RunningConsole, workers: Workers
) -> None:
    await workers.stream.publish(contract_event(HOSTILE, HOSTILE, type=HOSTILE))
    await workers.redis.xadd(workers.keys.events, {HOSTILE: HOSTILE})
    page = await console.operator.get("/events")
    assert page.status == 200
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text
    assert page.text.count("{{7*7}}") >= 3
    assert "entry " in page.text
