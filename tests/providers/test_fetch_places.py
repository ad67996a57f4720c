"""Invented addresses of keys: what they may take from genuine ones, which is nothing but a short wait."""

import asyncio
from datetime import timedelta

from providers.base import UnavailableError
from providers.fetch_places import FETCHES_AT_ONCE_MAX, FETCHES_MAX
from providers.keyring import DOCUMENTS_MAX, KEPT_S, Keyring
from tests.support.cases.base import NOW
from tests.support.wait import until

URL = "https://a.example/keys"


class Slow:
    """A fetch whose addresses answer, fail or never answer, as they say."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if "slow" in url:
            await asyncio.Event().wait()
        if "wrong" in url:
            raise UnavailableError(f"{url} answered 404")
        return b"1"

    def under_way(self) -> int:
        return len(self.asked)


async def attempt(keys: Keyring[int], url: str) -> int | None:
    try:
        return await keys.get(url, NOW)
    except UnavailableError:
        return None


async def test_fetches_of_invented_addresses_share_a_few_places() -> None:
    slow = Slow()
    keys = Keyring(int, slow.fetch)
    waiting = [asyncio.create_task(attempt(keys, f"{URL}/slow/{number}")) for number in range(3 * FETCHES_MAX)]
    await until(lambda: slow.under_way() == FETCHES_MAX, what="all places are taken")
    assert slow.asked == [f"{URL}/slow/{number}" for number in range(FETCHES_MAX)]
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_new_genuine_address_gets_the_place_of_the_longest_slow_one() -> None:
    slow = Slow()
    keys = Keyring(int, slow.fetch)
    invented = [asyncio.create_task(attempt(keys, f"{URL}/slow/{number}")) for number in range(FETCHES_MAX)]
    await until(lambda: slow.under_way() == FETCHES_MAX, what="all places are taken")
    assert await keys.get(f"{URL}/genuine", NOW) == 1
    assert await invented[0] is None
    assert not any(each.done() for each in invented[1:])
    for each in invented[1:]:
        each.cancel()


async def test_a_known_address_is_fetched_again_at_once_whatever_strangers_invent() -> None:
    slow = Slow()
    keys = Keyring(int, slow.fetch)
    assert await keys.get(URL, NOW) == 1
    invented = [asyncio.create_task(attempt(keys, f"{URL}/slow/{number}")) for number in range(2 * FETCHES_MAX)]
    await until(lambda: slow.under_way() == FETCHES_MAX + 1, what="all places are taken")
    assert await keys.get(URL, NOW + timedelta(seconds=KEPT_S + 1)) == 1
    assert slow.asked[-1] == URL
    assert not any(each.done() for each in invented)
    for each in invented:
        each.cancel()


async def test_failures_never_evict_keys_and_are_limited_themselves() -> None:
    slow = Slow()
    keys = Keyring(int, slow.fetch)
    assert await keys.get(URL, NOW) == 1
    for number in range(FETCHES_AT_ONCE_MAX // 2):
        assert await attempt(keys, f"{URL}/wrong/{number}") is None
    asked = slow.under_way()
    assert await keys.get(URL, NOW) == 1
    assert slow.under_way() == asked


async def test_the_rate_of_invented_addresses_is_limited_and_known_ones_are_not() -> None:
    slow = Slow()
    keys = Keyring(int, slow.fetch)
    assert await keys.get(URL, NOW) == 1
    for number in range(2 * FETCHES_AT_ONCE_MAX):
        await attempt(keys, f"{URL}/wrong/{number}")
    assert FETCHES_AT_ONCE_MAX <= slow.under_way() < 2 * FETCHES_AT_ONCE_MAX
    assert await keys.get(URL, NOW + timedelta(seconds=KEPT_S + 1)) == 1


async def test_keys_of_genuine_requests_are_dropped_last() -> None:
    slow = Slow()
    keys = Keyring(int, slow.fetch)
    assert await keys.get(URL, NOW) == 1
    keys.prove(URL)
    for number in range(DOCUMENTS_MAX + 1):
        assert await keys.get(f"{URL}/{number}", NOW) == 1
    asked = slow.under_way()
    assert await keys.get(URL, NOW) == 1
    assert slow.under_way() == asked
    await keys.get(f"{URL}/0", NOW)
    assert slow.under_way() == asked + 1
