"""The durability a server can guarantee, classified from what it reports about itself."""

from collections.abc import Mapping
from typing import Any

import pytest

from runtime.durability import (
    Confirmation,
    Durability,
    Guarantee,
    NotDurableError,
    check_durability,
    following,
    has_unheard_replica,
)

INFO = {
    "run_id": "abc", "role": "master", "loading": "0", "aof_enabled": "1", "aof_last_write_status": "ok",
    "maxmemory": "0", "used_memory": "1000", "maxmemory_policy": "noeviction", "connected_slaves": "1",
}  # fmt: skip
CONFIG = {
    "appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no", "maxmemory-policy": "noeviction",
}  # fmt: skip
EVERYSEC = {"appendfsync": "everysec"}


def guarantee(
    wanted: Durability = "fsync",
    info: Mapping[str, str] | None = None,
    config: Mapping[str, str] | None = None,
    *,
    forbidden: bool = False,
    replicas: int = 1,
    has_waitaof: bool = True,
) -> Guarantee:
    answered = None if forbidden else CONFIG | dict(config or {})
    return check_durability(wanted, replicas, INFO | dict(info or {}), answered, has_waitaof=has_waitaof)


@pytest.mark.parametrize(
    ("given", "confirmation"),
    [
        ({}, "reply"),
        ({"has_waitaof": False}, "reply"),
        ({"config": EVERYSEC}, "waitaof"),
        ({"config": {"no-appendfsync-on-rewrite": "yes"}}, "waitaof"),
        ({"forbidden": True}, "waitaof"),
        ({"wanted": "fsync+replica"}, "waitaof"),
        ({"wanted": "fsync+replica", "has_waitaof": False}, "wait"),
        ({"wanted": "memory"}, "none"),
        ({"wanted": "memory", "info": {"aof_enabled": "0"}, "config": {"maxmemory-policy": "allkeys-lru"}}, "none"),
        ({"info": {"maxmemory": "900", "mem_not_counted_for_evict": "200"}}, "reply"),
    ],
)
def test_how_a_write_is_confirmed(given: dict[str, Any], confirmation: str) -> None:
    assert guarantee(**given).confirmation == confirmation


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"info": {"role": "slave"}}, "not the master"),
        ({"info": {"loading": "1"}}, "loading"),
        ({"info": {"async_loading": "1"}}, "loading"),
        ({"info": {"maxmemory": "999"}}, "out of memory"),
        ({"info": {"aof_enabled": "0"}}, "append-only"),
        ({"config": {"appendonly": "no"}}, "append-only"),
        ({"config": {"appendfsync": "no"}}, "appendfsync is no"),
        ({"wanted": "fsync+replica", "replicas": 2}, "only 1 of the 2 replicas"),
        ({"info": {"aof_last_write_status": "err"}}, "aof_last_write_status"),
        ({"config": {"maxmemory-policy": "allkeys-lru"}}, "allkeys-lru"),
        ({"info": {"maxmemory_policy": "volatile-ttl"}, "forbidden": True}, "volatile-ttl"),
        ({"config": EVERYSEC, "has_waitaof": False}, "WAITAOF"),
        ({"forbidden": True, "has_waitaof": False}, "WAITAOF"),
        ({"config": {"no-appendfsync-on-rewrite": "yes"}, "has_waitaof": False}, "WAITAOF"),
        ({"wanted": "fsync+replica", "config": EVERYSEC, "has_waitaof": False}, "WAITAOF"),
        ({"wanted": "memory", "info": {"role": "slave"}}, "not the master"),
        ({"wanted": "memory", "info": {"loading": "1"}}, "loading"),
    ],
)
def test_a_server_that_may_lose_writes_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(NotDurableError, match=why):
        guarantee(**given)


def test_a_replica_follows_once_it_has_the_data_and_as_long_as_it_acknowledges() -> None:
    info = {
        "slave0": "ip=10.0.0.2,port=6379,state=online,offset=1430,lag=0,type=replica",
        "slave1": "ip=10.0.0.3,port=6379,state=online,offset=0,lag=0,type=replica",  # it loads the data
        "slave2": "ip=10.0.0.4,port=6379,state=online,offset=1430,lag=11,type=replica",
        "slave3": "ip=10.0.0.5,port=6379,state=wait_bgsave,offset=0,lag=0,type=replica",
        "slave_expires_tracked_keys": "0",
    }
    assert following(info) == [("10.0.0.2", 6379)]
    assert has_unheard_replica(info)
    assert not has_unheard_replica({"slave0": info["slave0"], "slave3": info["slave3"]})


def test_the_numbers_of_a_confirmation_are_read() -> None:
    one = Guarantee("fsync+replica", Confirmation.WAITAOF, 2, "")
    assert one.confirm_commands(3000) == [("WAIT", 2, 100), ("WAITAOF", 1, 2, 100)]
    assert Guarantee("fsync", Confirmation.WAITAOF, 0, "").confirm_commands(3000) == [("WAITAOF", 1, 0, 3000)]
    assert one.unconfirmed_reason([1, 2]) == ""
    assert "fsynced" in one.unconfirmed_reason([0, 2])
    assert "1 of the 2 replicas" in one.unconfirmed_reason([1, 1])
    assert one.unconfirmed_reason(b"OK")
    other = Guarantee("fsync+replica", Confirmation.WAIT, 1, "")
    assert other.unconfirmed_reason(1) == ""
    assert other.unconfirmed_reason(0)
    assert other.confirm_commands(3000) == [("WAIT", 1, 3000)]
    assert one.has_too_few([1, 3])
    assert not one.has_too_few([1, 2])
    assert other.has_too_few(2)
    assert other.must_rewrite_duplicates
