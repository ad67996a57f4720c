"""Entries that operators' commands add are proven on the server that they were added to, while it is the master."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from contract.keys import Keys
from operations.stream_entries import adding
from runtime.redis_connection import client
from tests.support.named_master import named_master
from tests.support.servers import ValkeyServer

TIMEOUT_S = 5.0


@pytest.mark.parametrize(("is_known", "why"), [(True, "the connection was lost"), (False, "the master was replaced")])
async def test_what_was_added_to_a_master_that_was_replaced_is_not_kept(
    private_valkey: ValkeyServer, tmp_path: Path, key_prefix: str, why: str, *, is_known: bool
) -> None:
    """A connection to the new one, which has nothing to wait for, would say at once that all is on disk."""
    other = ValkeyServer(tmp_path / "other", password=private_valkey.password)
    other.start()
    try:
        with named_master(private_valkey) as place:
            async with (
                client(SecretStr(private_valkey.url), timeout_s=TIMEOUT_S, name="a-test") as redis,
                adding(redis, Keys(key_prefix)) as stream,
            ):
                await stream.add(None, ["a", "b"], seen_ttl_s=60)
                assert await stream.is_kept()
                place.name(other)
                if is_known:
                    await place.find()
                with pytest.raises(RedisConnectionError, match=why):
                    await stream.is_kept()
    finally:
        other.kill()
