"""Delayed entries come back in the order they are due, each once."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.delay_queue import DelayQueue
from consumers.entry import Entry
from tests.support.events import contract_event


def entry(number: int) -> Entry:
    return Entry(f"{number}-0", 1, contract_event(f"evt_{number}"), {})


def test_nothing_is_due_before_its_time() -> None:
    queue = DelayQueue()
    assert (queue.next_due_s, len(queue)) == (None, 0)
    queue.add([entry(1)], 10.0)
    queue.add([entry(2)], 5.0, attempt_counts=True)
    assert (queue.next_due_s, len(queue)) == (5.0, 2)
    assert queue.take_due(4.9, 10) == ([], [])
    assert queue.take_due(5.0, 10) == ([], [entry(2)])
    assert queue.take_due(10.0, 10) == ([entry(1)], [])
    assert len(queue) == 0


def test_the_first_due_come_first_up_to_the_limit() -> None:
    queue = DelayQueue()
    queue.add([entry(3), entry(4)], 3.0)
    queue.add([entry(1)], 1.0, attempt_counts=True)
    assert queue.take_due(9.0, 2) == ([entry(3)], [entry(1)])
    assert "4-0" in queue
    assert "3-0" not in queue
    assert queue.entry_ids == {"4-0"}


def test_all_can_be_taken_due_or_not() -> None:
    queue = DelayQueue()
    queue.add([entry(1)], 1e12)
    queue.add([entry(2)], 2e12, attempt_counts=True)
    assert queue.take_all() == ([entry(1)], [entry(2)])
    assert queue.take_all() == ([], [])
    assert queue.entry_ids == frozenset()


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())), st.integers(1, 5))
def test_each_comes_back_once_and_not_early(waits: list[tuple[float, bool]], limit: int) -> None:
    queue = DelayQueue()
    for number, (due_s, counts) in enumerate(waits):
        queue.add([entry(number)], due_s, attempt_counts=counts)
    seen: list[str] = []
    now_s = 0.0
    while queue.next_due_s is not None:
        now_s = max(now_s, queue.next_due_s)
        free, counted = queue.take_due(now_s, limit)
        assert 0 < len(free) + len(counted) <= limit
        for taken, counts in [(e, False) for e in free] + [(e, True) for e in counted]:
            number = int(taken.entry_id.removesuffix("-0"))
            assert waits[number][0] <= now_s
            assert waits[number][1] is counts
            seen.append(taken.entry_id)
    assert sorted(seen) == sorted(f"{number}-0" for number in range(len(waits)))
