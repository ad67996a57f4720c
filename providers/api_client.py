"""Requests to a provider's API: only to its own host, and limited in time, number, rate and size.

Apart from `providers.api`, because only what really asks needs aiohttp: commands and checks start without it.
"""

import asyncio
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Self

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from providers.api import ApiRefusedError, ApiUnavailableError, ApiUnexpectedError, Limits, NotFoundError
from providers.api_answers import RecentAnswers

RESPONSE_BYTES_MAX = 32 * 1024 * 1024
"""The largest answer that is read. A full page of any provider's list is a few MiB."""

RETRY_AFTER_S_MAX = 120.0
"""The longest wait that an answer may ask for within one request. A longer one ends the request: its caller waits."""

WAIT_S_MAX = 86_400.0
"""The longest wait that any answer may ask for. No provider documents one of more than minutes."""

BACKOFF_S, BACKOFF_S_MAX = 0.5, 30.0
"""The first wait before another attempt, and the longest. Each is jittered, between nothing and the whole of it."""

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""The statuses after which the same read may succeed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. `body` is as it was sent."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class ApiClient:
    """A connection pool to one API. Use as an async context manager.

    `base_url` is the address of the API, of which nothing but the path and the query ever differs: no redirect is
    followed, no proxy is used, and an address in an answer is followed only if it is of the same origin.
    """

    def __init__(self, base_url: str, limits: Limits | None = None) -> None:
        self._base = URL(base_url)
        self._limits = limits or Limits()
        self._places = asyncio.Semaphore(self._limits.concurrent_max)
        self._next_at_s = 0.0
        self._session: ClientSession | None = None
        self.clock_ahead = timedelta(0)
        """By how much our clock was ahead of the API's at its last answer; negative if it was behind."""
        self.answers = RecentAnswers()
        """What several questions about one object share, where they say since when an answer is good enough."""

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(ssl=_tls(), limit=self._limits.concurrent_max),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=self._limits.timeout_s),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity", "Accept": "application/json", "User-Agent": "payment-webhooks"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answers.close()
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None, **headers: str) -> Answer:
        """Return the answer to a GET. `path` begins with /, and its ids are quoted by `providers.api.segment`.

        Raise ApiUnavailableError, ApiRefusedError, NotFoundError or ApiUnexpectedError.
        """
        url = self._url(path, query)
        question = (url, tuple(sorted(headers.items())))
        return await self.answers.get(question, lambda: self._request("GET", url, headers, None, None))

    async def post(
        self, path: str, query: Mapping[str, str] | None = None, *, json: object = None,
        form: Mapping[str, str] | bytes | None = None, **headers: str,
    ) -> Answer:  # fmt: skip
        """Return the answer to a POST that reads: a search, or a token. It may be sent more than once. Raise alike.

        `form` may be the bytes of something else, whose Content-Type is then one of the headers.
        """
        return await self._request("POST", self._url(path, query), headers, json, form)

    async def follow(self, address: str, **headers: str) -> Answer:
        """Return the answer at an address that an answer named, as its next page. Raise alike.

        Raise ApiUnexpectedError, and ask nobody, if it is of another origin than the API.
        """
        try:
            url = self._base.join(URL(address))
            is_own = url.origin() == self._base.origin() and url.user is None and url.password is None
        except ValueError:
            raise ApiUnexpectedError("the address of the next page cannot be read") from None
        if not is_own:
            raise ApiUnexpectedError("the address of the next page leads to another host")
        return await self._request("GET", url, headers, None, None)

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError("a path begins with one /")
        prefix = self._base.raw_path.rstrip("/")
        url = self._base.with_path(prefix + path, encoded=True)
        return url.with_query(query) if query else url

    async def _request(
        self, method: str, url: URL, headers: Mapping[str, str], json: object, form: Mapping[str, str] | bytes | None
    ) -> Answer:  # fmt: skip
        about = f"{method} {url.host}{url.raw_path}"  # never the query, which may hold what is personal
        for attempt in range(1, self._limits.attempts_max + 1):
            try:
                async with self._places:
                    await self._take_turn()
                    return await self._attempt(method, url, about, headers, json, form)
            except ApiUnavailableError as error:
                wait_s = _wait_s(attempt) if error.retry_after_s is None else error.retry_after_s
                if attempt == self._limits.attempts_max or wait_s > RETRY_AFTER_S_MAX:
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _take_turn(self) -> None:
        """Wait until the rate allows another request."""
        now_s = asyncio.get_running_loop().time()
        at_s = max(self._next_at_s, now_s)
        self._next_at_s = at_s + 1 / self._limits.requests_per_s_max
        if at_s > now_s:
            await asyncio.sleep(at_s - now_s)

    async def _attempt(
        self, method: str, url: URL, about: str, headers: Mapping[str, str], json: object,
        form: Mapping[str, str] | bytes | None,
    ) -> Answer:  # fmt: skip
        if self._session is None:
            raise RuntimeError("the client is used outside of its `async with`")
        try:
            async with self._session.request(
                method, url, headers=headers, json=json, data=form, allow_redirects=False
            ) as response:
                body = await _read(response, about)
                if answered_at := _date(response.headers.get("Date")):
                    self.clock_ahead = datetime.now(UTC) - answered_at
                _check(response, body, about)
        except (ClientError, OSError, TimeoutError) as error:
            raise ApiUnavailableError(f"{about} failed ({type(error).__name__})") from None
        return Answer(response.status, response.headers, body)


@cache
def _tls() -> ssl.SSLContext:
    """Return what checks the certificates of servers. Reading the roots takes longer than a request."""
    return ssl.create_default_context()


def _check(response: ClientResponse, body: bytes, about: str) -> None:
    """Raise what the answer's status means, unless it is a success."""
    status = response.status
    if 200 <= status < 300:
        return
    if status in (401, 403):
        raise ApiRefusedError(f"{about} answered {status}: the credentials are wrong, or may not read this", status)
    if status in (404, 410):
        raise NotFoundError(f"{about} answered {status}: there is no such object")
    if status in RETRIED or status >= 500:
        raise ApiUnavailableError(f"{about} answered {status}", _asked_wait_s(status, response.headers))
    raise ApiUnexpectedError(f"{about} answered {status}", status, body)


async def _read(response: ClientResponse, about: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > RESPONSE_BYTES_MAX:
            raise ApiUnexpectedError(f"{about} answered more than {RESPONSE_BYTES_MAX} bytes")
    if 200 <= response.status < 300 and response.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiUnexpectedError(f"{about} answered in an encoding that was not asked for")
    return bytes(body)


def _asked_wait_s(status: int, headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, by its own clock; None where it does not say.

    GoCardless names the end of its limit's minute as a date in RateLimit-Reset. Others write numbers there, of seconds
    or of an epoch, which are not read.
    """
    if "Retry-After" in headers:
        return retry_after_s(headers["Retry-After"])
    reset = headers.get("RateLimit-Reset", "") if status == 429 else ""  # GoCardless has it in every answer
    return None if reset.strip().isdecimal() else retry_after_s(reset, _date(headers.get("Date")))


def _date(value: str | None) -> datetime | None:
    """Return the time of an HTTP date, None for any other text."""
    if not value:
        return None
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110: a number, or a date), at most WAIT_S_MAX.

    None where it does not say.
    """
    if not value:
        return None
    if value.strip().isdecimal():
        return min(float(value), WAIT_S_MAX)
    at = _date(value)
    if at is None:
        return None
    return min(max(0.0, (at - (now or datetime.now(UTC))).total_seconds()), WAIT_S_MAX)


def _wait_s(attempt: int) -> float:
    return random.uniform(0, min(BACKOFF_S * 2.0 ** (attempt - 1), BACKOFF_S_MAX))  # noqa: S311 - jitter
