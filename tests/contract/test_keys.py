"""The names in Redis: as documented, one hash tag per partition, and no two things under one name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.keys import COMMITTED, GROUP, NAMESPACE_PATTERN, Keys

NAMESPACES = st.from_regex(NAMESPACE_PATTERN, fullmatch=True)
IDS = st.text(min_size=1, max_size=30) | st.sampled_from(["a:b", ":", "committed", "{1}", "a:seen:b"])
unhurried = settings(deadline=None)


def test_the_names_are_the_documented_ones() -> None:
    keys = Keys()
    assert GROUP == "payments"
    assert keys.events == "payments:{0}:events"
    assert keys.seen("acme", "evt_1") == "payments:{0}:seen:acme:evt_1"
    assert keys.lock("acme", "pi_1") == "payments:{0}:lock:acme:pi_1"
    assert keys.epoch == "payments:{0}:epoch"
    assert keys.failures == "payments:{0}:failures"
    assert keys.slot(3) == "payments:{0}:slot:3"


@unhurried
@given(one=st.tuples(NAMESPACES, IDS), other=st.tuples(NAMESPACES, IDS))
def test_different_events_and_resources_have_different_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    keys = Keys()
    assert (keys.seen(*one) == keys.seen(*other)) is (one == other)
    assert (keys.lock(*one) == keys.lock(*other)) is (one == other)
    assert keys.seen(*one) != keys.lock(*other)


@unhurried
@given(namespace=NAMESPACES, name=IDS, partition=st.integers(0, 1000))
def test_a_partition_has_one_hash_tag(namespace: str, name: str, partition: int) -> None:
    """Redis Cluster hashes what is between the first `{` and the next `}`, whatever a sender put into an id."""
    keys = Keys("any", partition)
    names = [
        keys.events,
        keys.epoch,
        keys.failures,
        keys.slot(1),
        keys.seen(namespace, name),
        keys.lock(namespace, name),
    ]
    assert {each.partition("{")[2].partition("}")[0] for each in names} == {str(partition)}
    assert len(set(names)) == len(names)


def test_installations_and_partitions_share_no_key() -> None:
    all_keys = [Keys(), Keys("other"), Keys(partition=1), Keys("other", 1)]
    assert len({keys.events for keys in all_keys}) == 4


def test_the_marker_of_a_committed_event_is_not_an_entry_id() -> None:
    assert b"-" not in COMMITTED


@pytest.mark.parametrize("name", ["", "a:b", "A", "-a", "_a", "a b", "é", "a" * 65, "a\n"])
def test_a_namespace_has_no_colon_and_nothing_odd(name: str) -> None:
    assert NAMESPACE_PATTERN.fullmatch(name) is None
