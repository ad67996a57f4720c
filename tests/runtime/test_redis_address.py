"""Reading REDIS_URL: whom to ask, and how to connect."""

import pytest
from pydantic import SecretStr
from redis.asyncio.connection import parse_url

from runtime.redis_address import RedisAddress, read_address


def read(url: str) -> RedisAddress:
    return read_address(SecretStr(url))


def test_a_plain_address_is_one_server() -> None:
    address = read("redis://:p@[::1]:7000/2")
    assert (address.kind, address.servers, address.url.get_secret_value()) == (
        "server", (("::1", 7000),), "redis://:p@[::1]:7000/2",
    )  # fmt: skip
    assert read("rediss://somewhere").servers == (("somewhere", 6379),)
    assert read("unix:///run/redis.sock").servers == ()


def test_sentinels_a_name_and_the_password_of_each_kind_of_server() -> None:
    address = read(
        "redis+sentinel://user:p%40ss@one:1,two,[::1]:3/my%20master/4?sentinel_password=s%2Fx&ssl_ca_certs=a"
    )
    assert (address.kind, address.master_name) == ("sentinel", "my master")
    assert address.servers == (("one", 1), ("two", 26_379), ("::1", 3))
    of_server = parse_url(address.url.get_secret_value())
    assert (of_server["username"], of_server["password"], of_server["db"]) == ("user", "p@ss", 4)
    of_sentinel: dict[str, object] = dict(parse_url(address.asked_url.get_secret_value()))
    assert "username" not in of_sentinel
    assert (of_sentinel["password"], of_sentinel["ssl_ca_certs"]) == ("s/x", "a")


@pytest.mark.parametrize("path", ["/m", "/m/", "/m/0"])
def test_without_a_number_it_is_database_0(path: str) -> None:
    address = read(f"rediss+sentinel://one{path}")
    assert address.url.get_secret_value().startswith("rediss://")
    assert parse_url(address.url.get_secret_value())["db"] == 0
    assert "password" not in parse_url(address.asked_url.get_secret_value())


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(read("redis+sentinel://hush:hush@one/m/0?sentinel_password=hush"))
