"""The pages of pending entries and of workers."""

import pytest

from operations.console.pages import pending
from tests.support.console import RunningConsole
from tests.support.events import contract_event
from tests.support.hostile_texts import HOSTILE, HOSTILE_REASON, assert_harmless
from tests.support.stream_states import Stream


async def test_pending_entries_are_shown_by_owner_and_reason(console: RunningConsole, stream: Stream) -> None:
    for number in range(3):
        await stream.publish(contract_event(f"evt_{number}", f"pi_{number}"))
    await stream.read("worker-1", 2)
    await stream.read("worker-2", 1)
    await stream.lease(1)
    await stream.lock(contract_event("evt_0", "pi_0"), "worker-1")
    await stream.record_failure(stream.ids[1], "retry", "ValueError: no", 3, 100)
    page = await console.viewer.get("/pending")
    assert page.status == 200
    for text in ("evt_0", "in work by worker-1", "attempt 3 of 10 failed", "worker-2 is gone", "does not run"):
        assert text in page.text
    assert page.text.index("evt_0") < page.text.index("evt_1") < page.text.index("evt_2")
    of_one = await console.viewer.get("/pending", {"owner": "worker-2"})
    assert "stripe/evt_2" in of_one.text
    assert "stripe/evt_0" not in of_one.text
    failed = await console.viewer.get("/pending", {"kind": "failed, tried again later"})
    assert "stripe/evt_1" in failed.text
    assert "stripe/evt_0" not in failed.text


async def test_a_long_list_is_shown_in_pages_by_key(
    console: RunningConsole, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "ENTRIES_PER_PAGE", 2)
    for number in range(3):
        await stream.publish(contract_event(f"evt_{number}"))
    await stream.read("worker-1")
    first = await console.viewer.get("/pending")
    assert f"after={stream.ids[1]}" in first.text
    assert "evt_2" not in first.text
    second = await console.viewer.get("/pending", {"after": stream.ids[1]})
    assert "evt_2" in second.text
    assert "evt_1<" not in second.text
    assert ">Next<" not in second.text
    assert (await console.viewer.get("/pending", {"after": "0 OR 1=1"})).status == 400


async def test_entries_in_nobodys_list_are_shown(console: RunningConsole, stream: Stream) -> None:
    await stream.publish(contract_event())
    await stream.read("worker-1")
    await stream.redis.xgroup_delconsumer(stream.keys.events, "payments", "worker-1")
    page = await console.viewer.get("/pending")
    assert "1 entry is in nobody's list" in page.text
    assert stream.ids[0] in page.text


async def test_pages_of_an_empty_stream_say_so(console: RunningConsole) -> None:
    assert "The stream is empty." in (await console.viewer.get("/pending")).text
    assert "No worker has ever read this stream." in (await console.viewer.get("/workers")).text


async def test_workers_are_shown_in_plain_words(console: RunningConsole, stream: Stream) -> None:
    event = contract_event("evt_1", "pi_1")
    await stream.publish(event)
    await stream.read("worker-1")
    await stream.read("worker-2")
    for slot in (1, 3):
        await stream.lease(slot)
    await stream.redis.xgroup_createconsumer(stream.keys.events, "payments", "worker-3")
    await stream.lock(event, "worker-1")
    page = await console.viewer.get("/workers")
    assert "2 workers run" in page.text
    for text in ("Worker 1", "in work by worker-1", "Worker 3", "waits for new entries"):
        assert text in page.text


async def test_what_senders_and_strangers_write_is_escaped(console: RunningConsole, stream: Stream) -> None:
    event = contract_event(HOSTILE, HOSTILE, type=HOSTILE)
    await stream.publish(event)
    await stream.read(HOSTILE_REASON)
    await stream.record_failure(stream.ids[0], "retry", HOSTILE_REASON, 1, 100)
    for path in ("/pending", "/workers"):
        page = await console.viewer.get(path)
        assert page.status == 200
        assert_harmless(page.text)
    of_one = await console.viewer.get("/pending", {"owner": HOSTILE_REASON, "kind": HOSTILE})
    assert_harmless(of_one.text)
