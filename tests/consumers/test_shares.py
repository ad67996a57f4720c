"""How the partitions are shared among worker processes."""

from collections import Counter

import pytest

from consumers.membership import share_of
from consumers.shared import Seats


@pytest.mark.parametrize("partitions", [1, 2, 8, 256])
@pytest.mark.parametrize("processes", [1, 2, 3, 8, 12, 300])
def test_each_partition_has_a_process_and_each_process_its_part(partitions: int, processes: int) -> None:
    members = [f"{number:015d}-a" for number in range(processes)]
    shares = [share_of(token, members, partitions) for token in members]
    worked_on = Counter(partition for share in shares for partition in share)
    assert worked_on.keys() == set(range(partitions))
    assert min(worked_on.values()) >= max(1, processes // partitions)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_process_that_nobody_knows_yet_counts_itself() -> None:
    assert share_of("b", ["a"], 2) == {1}


def test_a_seat_that_gets_free_goes_to_another_lane_first() -> None:
    seats, began = Seats(1), list[str]()

    def lane(name: str) -> None:
        if seats.has_free:
            seats.take()
            began.append(name)

    lanes = [lambda: lane("a"), lambda: lane("b"), lambda: lane("c")]
    for each in lanes:
        seats.add(each)
    lanes[0]()
    for _ in range(5):
        seats.give_back()
    assert began == ["a", "b", "c", "a", "b", "c"]
