"""Which partition an event goes into, and what an entry's id says about it."""

from collections import Counter

import pytest

from contract.keys import (
    NUMBERS_OF_PARTITION,
    PARTITIONS_MAX,
    Keys,
    Partitions,
    partition_of,
    partition_of_entry,
    read_partitions,
)


@pytest.mark.parametrize(
    ("namespace", "resource", "of_8", "of_256"),
    [("stripe", "pi_1", 0, 72), ("stripe", "pi_2", 2, 242), ("adyen", "pi_1", 6, 246), ("shop", "zahlung-ü", 6, 126)],
)
def test_every_program_and_version_finds_the_same_partition(
    namespace: str, resource: str, of_8: int, of_256: int
) -> None:
    assert partition_of(namespace, resource, 1) == 0
    assert partition_of(namespace, resource, 8) == of_8
    assert partition_of(namespace, resource, 256) == of_256


def test_payments_are_spread_evenly() -> None:
    counted = Counter(partition_of("stripe", f"pi_{number:010d}", 8) for number in range(8000))
    assert len(counted) == 8
    assert max(counted.values()) < 1.2 * min(counted.values())


def test_the_id_of_an_entry_says_its_partition() -> None:
    assert partition_of_entry("1764000000000-0") == 0
    assert partition_of_entry("1764000000000-999999999999") == 0
    assert partition_of_entry("1764000000000-3000000000007") == 3
    # Lua has no larger whole numbers.
    assert PARTITIONS_MAX * NUMBERS_OF_PARTITION < 2**53


def test_the_first_partition_has_the_names_it_always_had() -> None:
    first, other = Keys("shop"), Keys("shop", 3)
    assert first.stream_name == "shop"
    assert other.stream_name == "shop:{3}"
    assert other.events == "shop:{3}:events"
    assert first.partitions == other.partitions == "shop:{0}:partitions"
    assert Partitions("shop", 8).keys_of("stripe", "pi_2") == Keys("shop", 2)


@pytest.mark.parametrize(("stored", "partitions"), [(None, 1), (b"8", 8), ("0", 1), (b"100000", PARTITIONS_MAX)])
def test_a_number_of_partitions_is_read_within_its_limits(stored: bytes | str | None, partitions: int) -> None:
    assert read_partitions(stored) == partitions
