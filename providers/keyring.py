"""Keys that a sender publishes: fetched over https from its own host, within limits, and kept for a while.

The request names the address, so anyone may: it is compared with the pinned host before anything is fetched. Whose key
it is that came back is for the provider to prove. A fetch that fails tells nothing about the request, hence 503.
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
"""How long a fetch may take as a whole: the sender waits for its answer meanwhile, the strictest of them 5 s."""

FETCH_BYTES_MAX = 65_536
"""The largest document. A chain of certificates has about 10,000."""

FETCHES_MAX = 4
"""Fetches of one source at a time, so that a stranger who invents addresses cannot make us fetch without end."""

DOCUMENTS_MAX = 64
"""Documents of one source that are kept; the one that was needed longest ago goes first."""

KEPT_S = 86_400.0
"""How long a document is kept."""

FAILURE_KEPT_S = 10.0
"""How long an address is not asked again after it failed."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets the document at an https address. Raises UnavailableError."""

# Nothing that two readers of URLs could take for different hosts: no user, no port, no query, no escape.
_URL = re.compile(r"https://(?P<host>[a-z0-9.-]{1,253})/[A-Za-z0-9._/-]{0,500}")

KeysT = TypeVar("KeysT")


def pinned_url(text: bytes, domain: str) -> str:
    """An https address at the domain or below it. Raises SignatureError for any other."""
    match = _URL.fullmatch(text.decode("ascii", errors="replace"))
    if match is None or not f".{match['host']}".endswith(f".{domain}"):
        raise SignatureError("malformed", f"the address of the key is not a plain https one of {domain}")
    return match.group()


def https_fetch(tls: ssl.SSLContext | None = None, timeout_s: float = FETCH_TIMEOUT_S) -> Fetch:
    """A fetch that follows no redirect and is limited in time and size. `tls` is what to trust, if not the system."""

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
class _Known(Generic[KeysT]):
    """What an address had when it was last asked: keys, or a failure."""

    at: datetime
    keys: KeysT | None
    failure: str = ""

    def holds(self, now: datetime, age_s_max: float) -> bool:
        """Whether it may be used without asking again. A clock that was set back makes it unusable."""
        return 0 <= (now - self.at).total_seconds() <= (FAILURE_KEPT_S if self.keys is None else age_s_max)


class Keyring(Generic[KeysT]):
    """The published keys that one source needs. `read` makes keys of a document; its ValueError is a failure too.

    `fetch` may be replaced, as tests do. The clock is the requests': `now` is when one was received.
    """

    def __init__(self, read: Callable[[bytes], KeysT], fetch: Fetch | None = None) -> None:
        self.fetch = fetch or https_fetch()
        self._read = read
        self._known: OrderedDict[str, _Known[KeysT]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Known[KeysT]]] = {}

    async def get(self, url: str, now: datetime, age_s_max: float = KEPT_S) -> KeysT:
        """What the pinned address holds. Raises UnavailableError."""
        known = self._known.get(url)
        if known is None or not known.holds(now, age_s_max):
            known = await self._ask(url, now)
        if url in self._known:
            self._known.move_to_end(url)
        if known.keys is None:
            raise UnavailableError(f"{known.failure}, so nothing that is signed with it can be verified now")
        return known.keys

    async def _ask(self, url: str, now: datetime) -> _Known[KeysT]:
        """One fetch for all who wait for it; whoever hangs up ends it for nobody."""
        flight = self._flights.get(url)
        if flight is None:
            if len(self._flights) >= FETCHES_MAX:
                raise UnavailableError(f"{FETCHES_MAX} keys are being fetched already")
            flight = self._flights[url] = asyncio.create_task(self._fetch(url, now), name="keyring")
            flight.add_done_callback(lambda _: self._flights.pop(url, None))
        return await asyncio.shield(flight)

    async def _fetch(self, url: str, now: datetime) -> _Known[KeysT]:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                known = _Known(now, self._read(await self.fetch(url)))
        except UnavailableError as error:
            known = _Known(now, None, str(error))
        except TimeoutError:
            known = _Known(now, None, f"{url} did not answer within {FETCH_TIMEOUT_S:g} s")
        except ValueError:
            known = _Known(now, None, f"{url} holds something else than keys")
        self._known[url] = known
        while len(self._known) > DOCUMENTS_MAX:
            self._known.popitem(last=False)
        return known
