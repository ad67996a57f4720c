"""Public keys that a sender publishes: fetched over https from its own host, within limits, and cached.

The address comes from the request, which anyone can write. It is checked against the sender's own pattern before
anything is fetched. Whether the fetched key is the sender's is for the provider to check. A failed fetch says nothing
about the request, so the answer is 503 and the sender retries.

What strangers invent must not keep out what is genuine. Keys that were fetched once are kept apart from failures, which
cannot evict or replace them, and their addresses are always fetched again at once. Keys that verified a genuine request
are the last to be dropped, and are replaced only by keys that the provider trusts. All other addresses share a few
places and a rate: one that waits for a place gets that of the longest fetch, once this had its time.
"""

import asyncio
import re
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Generic, TypeVar

from providers.base import SignatureError, UnavailableError
from providers.fetch_places import Places

FETCH_TIMEOUT_S = 3.0
"""How long a whole fetch may take. The sender waits for its answer meanwhile; the strictest one waits 5 s."""

FETCH_BYTES_MAX = 65_536
"""The largest document. A certificate chain has about 10,000 bytes."""

DOCUMENTS_MAX = 64
"""Cached documents of one source; the least recently used one is dropped first."""

FAILURES_MAX = 256
"""Failed addresses of one source that are remembered; the oldest is dropped first."""

KEPT_S = 86_400.0
"""How long a document is cached."""

FAILURE_KEPT_S = 10.0
"""How long a failed address is not fetched again."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Return the document at an https address. Raise UnavailableError."""

URL_BYTES_MAX = 800
"""Longer than any address that the pattern matches. Decoding a whole header of odd bytes takes 20 µs."""

# Nothing that two URL parsers could read as different hosts: no user, no port, no query, no escape.
_URL = re.compile(r"https://(?P<host>[a-z0-9.-]{1,253})/[A-Za-z0-9._/-]{0,500}")

KeysT = TypeVar("KeysT")


def pinned_url(text: bytes, domain: str) -> str:
    """Return the address if it is a plain https one at the domain or below it. Raise SignatureError otherwise."""
    match = _URL.fullmatch(text[: URL_BYTES_MAX + 1].decode("ascii", errors="replace"))
    if match is None or not f".{match['host']}".endswith(f".{domain}"):
        raise SignatureError("malformed", f"the address of the key is not a plain https address of {domain}")
    return match.group()


def https_fetch(tls: ssl.SSLContext | None = None, timeout_s: float = FETCH_TIMEOUT_S) -> Fetch:
    """Return a fetch that follows no redirect and is limited in time and size. `tls` replaces the system's roots."""
    context = tls or _system_tls()

    async def fetch(url: str) -> bytes:
        from providers.https import get  # noqa: PLC0415 -- needs aiohttp, a fifth of what a command's start costs

        return await get(url, context, timeout_s, FETCH_BYTES_MAX)

    return fetch


@cache
def _system_tls() -> ssl.SSLContext:
    """Return the one context of this process. Reading the system's roots takes 30 ms, so it is done at the start."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class _Keys(Generic[KeysT]):
    """The keys of an address, and when they were fetched."""

    keys: KeysT
    at: datetime

    def are_younger(self, now: datetime, age_s_max: float) -> bool:
        """Return whether they were fetched at most so long ago. After the clock was set back they were not."""
        return 0 <= (now - self.at).total_seconds() <= age_s_max


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an address gave no keys, and when."""

    why: str
    at: datetime

    def holds(self, now: datetime) -> bool:
        """Return whether the address is not fetched again yet."""
        return 0 <= (now - self.at).total_seconds() <= FAILURE_KEPT_S


class Keyring(Generic[KeysT]):
    """The published keys of one source. `read` turns a document into keys; a ValueError of it counts as a failed fetch.

    `fetch` can be replaced, as tests do. `trusts` says whether keys may replace those that verified a genuine request.
    `now` is always the time at which a request was received.
    """

    def __init__(
        self,
        read: Callable[[bytes], KeysT],
        fetch: Fetch | None = None,
        trusts: Callable[[KeysT, datetime], bool] = lambda _keys, _now: True,
    ) -> None:
        self.fetch = fetch or https_fetch()
        self._read = read
        self._trusts = trusts
        self._proven: set[str] = set()
        self._good: OrderedDict[str, _Keys[KeysT]] = OrderedDict()
        self._failed: OrderedDict[str, _Failure] = OrderedDict()
        self._fetches: dict[str, asyncio.Task[_Keys[KeysT] | _Failure]] = {}
        self._places = Places()

    async def get(self, url: str, now: datetime, age_s_max: float = KEPT_S, grace_s: float = 0.0) -> KeysT:
        """Return the keys at a pinned address, fetched at most `age_s_max` ago. Raise UnavailableError.

        Where fetching them again fails, keys that are up to `grace_s` older are returned.
        """
        good = self._good.get(url)
        if good is None or not good.are_younger(now, age_s_max):
            failed = self._failed.get(url)
            fetched = failed if failed and failed.holds(now) else await self._shared_fetch(url, now)
            if isinstance(fetched, _Keys):
                good = fetched
            elif good is None or not good.are_younger(now, age_s_max + grace_s):
                raise UnavailableError(f"{fetched.why}; what is signed with its keys cannot be verified now")
        if url in self._good:
            self._good.move_to_end(url)
        return good.keys

    def prove(self, url: str) -> None:
        """Note that the keys at this address verified a genuine request."""
        if url in self._good:
            self._proven.add(url)

    async def _shared_fetch(self, url: str, now: datetime) -> _Keys[KeysT] | _Failure:
        """Join the running fetch of this address, or start one. Cancelling a caller does not cancel the fetch."""
        task = self._fetches.get(url)
        if task is None:
            if url not in self._good:
                self._places.check()
            task = self._fetches[url] = asyncio.create_task(self._fetch(url, now), name="keyring")
            task.add_done_callback(lambda _: self._fetches.pop(url, None))
        return await asyncio.shield(task)

    async def _fetch(self, url: str, now: datetime) -> _Keys[KeysT] | _Failure:
        gave_way = False
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                if url in self._good:
                    return self._fetched_again(url, _Keys(self._read(await self.fetch(url)), now))
                async with self._places.one() as place:
                    try:
                        return self._found(url, _Keys(self._read(await self.fetch(url)), now))
                    finally:
                        gave_way = place.gave_way
        except UnavailableError as error:
            failure = _Failure(str(error), now)
        except TimeoutError:
            failure = _Failure(f"{url} did not answer within {FETCH_TIMEOUT_S:g} s", now)
        except ValueError:
            failure = _Failure(f"{url} does not contain keys", now)
        if not gave_way:
            self._failed[url] = failure
            while len(self._failed) > FAILURES_MAX:
                self._failed.popitem(last=False)
        return failure

    def _fetched_again(self, url: str, keys: _Keys[KeysT]) -> _Keys[KeysT]:
        if url in self._proven and not self._trusts(keys.keys, keys.at):
            raise UnavailableError(f"{url} has keys now that are not trusted")
        return self._found(url, keys)

    def _found(self, url: str, keys: _Keys[KeysT]) -> _Keys[KeysT]:
        self._good[url] = keys
        self._failed.pop(url, None)
        while len(self._good) > DOCUMENTS_MAX:
            dropped = next((each for each in self._good if each not in self._proven), next(iter(self._good)))
            del self._good[dropped]
            self._proven.discard(dropped)
        return keys
