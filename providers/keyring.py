"""Public keys that a sender publishes: fetched over https from its own host, within limits, and cached.

The address comes from the request, which anyone can write. It is checked against the pinned domain before anything is
fetched. Whether the fetched key is the sender's is for the provider to check. A failed fetch says nothing about the
request, so the answer is 503 and the sender retries.
"""

import asyncio
import re
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from providers.base import SignatureError, UnavailableError

FETCH_TIMEOUT_S = 3.0
"""How long a whole fetch may take. The sender waits for its answer meanwhile; the strictest one waits 5 s."""

FETCH_BYTES_MAX = 65_536
"""The largest document. A certificate chain has about 10,000 bytes."""

FETCHES_MAX = 4
"""Concurrent fetches of one source. It bounds the work that requests with invented addresses can cause."""

DOCUMENTS_MAX = 64
"""Cached documents of one source; the least recently used one is dropped first."""

KEPT_S = 86_400.0
"""How long a document is cached."""

FAILURE_KEPT_S = 10.0
"""How long a failed address is not fetched again."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Return the document at an https address. Raise UnavailableError."""

# Nothing that two URL parsers could read as different hosts: no user, no port, no query, no escape.
_URL = re.compile(r"https://(?P<host>[a-z0-9.-]{1,253})/[A-Za-z0-9._/-]{0,500}")

KeysT = TypeVar("KeysT")


def pinned_url(text: bytes, domain: str) -> str:
    """Return the address if it is a plain https one at the domain or below it. Raise SignatureError otherwise."""
    match = _URL.fullmatch(text.decode("ascii", errors="replace"))
    if match is None or not f".{match['host']}".endswith(f".{domain}"):
        raise SignatureError("malformed", f"the address of the key is not a plain https address of {domain}")
    return match.group()


def https_fetch(tls: ssl.SSLContext | None = None, timeout_s: float = FETCH_TIMEOUT_S) -> Fetch:
    """Return a fetch that follows no redirect and is limited in time and size. `tls` replaces the system's roots."""

    async def fetch(url: str) -> bytes:
        try:
            return await _get(url, tls or ssl.create_default_context(), timeout_s)
        except (ClientError, OSError, TimeoutError) as error:
            raise UnavailableError(f"{url} could not be fetched ({type(error).__name__})") from error

    return fetch


async def _get(url: str, tls: ssl.SSLContext, timeout_s: float) -> bytes:
    async with (
        ClientSession(
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=timeout_s),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        ) as session,
        session.get(url, ssl=tls, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise UnavailableError(f"{url} answered {response.status}")
        document = bytearray()
        async for chunk in response.content.iter_any():
            document += chunk
            if len(document) > FETCH_BYTES_MAX:
                raise UnavailableError(f"{url} has more than {FETCH_BYTES_MAX} bytes")
        return bytes(document)


@dataclass(frozen=True, slots=True)
class _Cached(Generic[KeysT]):
    """The result of the last fetch of an address: its keys, or the failure."""

    at: datetime
    keys: KeysT | None
    failure: str = ""

    def is_fresh(self, now: datetime, age_s_max: float) -> bool:
        """Return whether it may be used without a fetch. After the clock was set back it may not."""
        return 0 <= (now - self.at).total_seconds() <= (FAILURE_KEPT_S if self.keys is None else age_s_max)


class Keyring(Generic[KeysT]):
    """The published keys of one source. `read` turns a document into keys; a ValueError of it counts as a failed fetch.

    `fetch` can be replaced, as tests do. `now` is always the time at which a request was received.
    """

    def __init__(self, read: Callable[[bytes], KeysT], fetch: Fetch | None = None) -> None:
        self.fetch = fetch or https_fetch()
        self._read = read
        self._cache: OrderedDict[str, _Cached[KeysT]] = OrderedDict()
        self._fetches: dict[str, asyncio.Task[_Cached[KeysT]]] = {}

    async def get(self, url: str, now: datetime, age_s_max: float = KEPT_S) -> KeysT:
        """Return the keys at a pinned address, fetched at most `age_s_max` ago. Raise UnavailableError."""
        cached = self._cache.get(url)
        if cached is None or not cached.is_fresh(now, age_s_max):
            cached = await self._shared_fetch(url, now)
        if url in self._cache:
            self._cache.move_to_end(url)
        if cached.keys is None:
            raise UnavailableError(f"{cached.failure}; what is signed with its keys cannot be verified now")
        return cached.keys

    async def _shared_fetch(self, url: str, now: datetime) -> _Cached[KeysT]:
        """Join the running fetch of this address, or start one. Cancelling a caller does not cancel the fetch."""
        task = self._fetches.get(url)
        if task is None:
            if len(self._fetches) >= FETCHES_MAX:
                raise UnavailableError(f"{FETCHES_MAX} keys are being fetched already")
            task = self._fetches[url] = asyncio.create_task(self._fetch(url, now), name="keyring")
            task.add_done_callback(lambda _: self._fetches.pop(url, None))
        return await asyncio.shield(task)

    async def _fetch(self, url: str, now: datetime) -> _Cached[KeysT]:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                cached = _Cached(now, self._read(await self.fetch(url)))
        except UnavailableError as error:
            cached = _Cached(now, None, str(error))
        except TimeoutError:
            cached = _Cached(now, None, f"{url} did not answer within {FETCH_TIMEOUT_S:g} s")
        except ValueError:
            cached = _Cached(now, None, f"{url} does not contain keys")
        self._cache[url] = cached
        while len(self._cache) > DOCUMENTS_MAX:
            self._cache.popitem(last=False)
        return cached
