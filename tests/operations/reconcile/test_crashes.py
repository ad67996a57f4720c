"""A run that ends at any point repeats nothing: the next one finds what was added, and adds the rest."""

from collections.abc import Callable
from typing import Any

import pytest

from operations.reconcile import repair
from operations.reconcile.events import Comparison
from operations.reconcile.repair import Repair
from operations.reconcile.store import Claim
from operations.stream_entries import Adding
from tests.support.reconciling import EVENTS, Reconciler


class Crash(BaseException):
    """What ends a program in the middle of its work."""


def crashing(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, *, calls: int = 1, after: bool = False) -> None:
    """Make the `calls`-th call of a function the last thing that the program does."""
    original: Callable[..., Any] = getattr(owner, name)
    made = 0

    async def replaced(*arguments: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        if made == calls and not after:
            raise Crash
        result = await original(*arguments, **named)
        if made == calls:
            raise Crash
        return result

    monkeypatch.setattr(owner, name, replaced)


POINTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before anything is listed": lambda patch: crashing(patch, Claim, "resolve_applied"),
    "before a finding is kept": lambda patch: crashing(patch, Claim, "record"),
    "after findings were kept": lambda patch: crashing(patch, Claim, "record", after=True),
    "after the first entry": lambda patch: crashing(patch, Adding, "add", after=True),
    "after some entries": lambda patch: crashing(patch, Adding, "add", calls=3, after=True),
    # What is noted after that is one transaction, and undone as a whole.
    "before the repair is committed": lambda patch: crashing(patch, repair, "record", after=True),
    "after the repair": lambda patch: crashing(patch, Repair, "add", after=True),
    "before the run ends": lambda patch: crashing(patch, Comparison, "end"),
    "after the run has ended": lambda patch: crashing(patch, Claim, "finish", after=True),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_run_that_is_killed_repeats_nothing(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    reconciler.listing.add(*EVENTS)
    for event in EVENTS[:2]:
        await reconciler.workers.stream.publish(event)
    with monkeypatch.context() as patch:
        POINTS[point](patch)
        with pytest.raises(Crash):
            await reconciler.run(repair=True)
    await reconciler.workers.connection.execute("UPDATE reconciliations SET claimed_by = NULL, claimed_until = NULL")
    before = await reconciler.workers.stream.entries()
    report = await reconciler.run(repair=True)
    entries = await reconciler.workers.stream.entries()
    assert report.counts.repaired == len(EVENTS) - len(before)
    assert sorted(fields[b"event_id"].decode() for fields in entries.values()) == [each.event_id for each in EVENTS]
    await reconciler.drain()
    await reconciler.run()
    assert await reconciler.findings() == []
    assert {(each.event_id, bool(each.repaired_at)) for each in await reconciler.findings(only_open=False)} == {
        (event.event_id, True) for event in EVENTS[2:]
    } or point == "before a finding is kept"
    assert await reconciler.workers.rows("SELECT count(*) FROM duplicates") == [(0,)]
    await reconciler.workers.assert_all_acked()


async def test_a_redis_that_cannot_confirm_its_disk_leaves_the_finding_open(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_not(_: object) -> bool:
        return False

    reconciler.listing.add(EVENTS[0])
    with monkeypatch.context() as patch:
        patch.setattr(Adding, "is_kept", is_not)
        report = await reconciler.run(repair=True)
    assert report.counts.repaired == 0
    assert report.notes == ["1 were added, but this Redis could not confirm that they are on disk"]
    assert report.complete_until == EVENTS[0].occurred_at
    assert (await reconciler.run(repair=True)).counts.waiting == 1
