"""Requests to an API: to its own host only, limited, and tried again where that may help."""

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from providers import api_client
from providers.api import (
    ApiError,
    ApiRefusedError,
    ApiUnavailableError,
    ApiUnexpectedError,
    Limits,
    NotFoundError,
    segment,
)
from providers.api_client import ApiClient, retry_after_s
from tests.support.certificates import Authority
from tests.support.stand_ins.stand_in import StandIn, hang_up, moved, status, text

QUICK = Limits(timeout_s=2, attempts_max=4, requests_per_s_max=10_000)


class Echo(StandIn):
    """Answers each path with its name."""

    def __init__(self) -> None:
        super().__init__()
        self.app.router.add_route("*", "/{path:.*}", self._echo)

    async def _echo(self, request: web.Request) -> web.Response:
        return web.json_response({"path": request.path, "query": dict(request.query)})

    def refusal(self, request: web.Request) -> None:
        """Accept everybody."""


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async with Echo().serving() as server:
        yield server


async def test_an_answer_has_the_bytes_as_they_were_sent(echo: Echo) -> None:
    echo.mishaps.append(text(b'{"amount":  10.00}'))
    async with ApiClient(echo.url, QUICK) as client:
        answer = await client.get("/v1/events", {"limit": "100"}, Authorization="Bearer k")
    assert answer.body == b'{"amount":  10.00}'
    assert echo.requests[0].headers["Authorization"] == "Bearer k"
    assert echo.requests[0].query == {"limit": "100"}


@pytest.mark.parametrize("mishap", [status(429, Retry_After="0"), status(503), status(500), hang_up])
async def test_what_may_succeed_later_is_tried_again(echo: Echo, mishap: object) -> None:
    echo.mishaps.extend([mishap, mishap])  # type: ignore[list-item]
    async with ApiClient(echo.url, QUICK) as client:
        assert (await client.get("/a")).status == 200
    assert len(echo.requests) == 3


async def test_it_gives_up_after_its_attempts_and_names_what_it_waits_for(echo: Echo) -> None:
    echo.mishaps.extend([status(429, Retry_After="0")] * 4)
    async with ApiClient(echo.url, QUICK) as client:
        with pytest.raises(ApiUnavailableError, match="429") as error:
            await client.get("/a")
    assert error.value.retry_after_s == 0
    assert len(echo.requests) == 4


async def test_a_wait_that_is_too_long_is_for_the_caller(echo: Echo) -> None:
    echo.mishaps.append(status(429, Retry_After="3600"))
    async with ApiClient(echo.url, QUICK) as client:
        with pytest.raises(ApiUnavailableError) as error:
            await client.get("/a")
    assert (error.value.retry_after_s, len(echo.requests)) == (3600, 1)


@pytest.mark.parametrize(
    ("mishap", "error"),
    [
        (status(401), ApiRefusedError), (status(403), ApiRefusedError), (status(404), NotFoundError),
        (status(400), ApiUnexpectedError), (moved("http://127.0.0.1:1/"), ApiUnexpectedError),
    ],
)  # fmt: skip
async def test_what_cannot_change_is_asked_once(echo: Echo, mishap: object, error: type[Exception]) -> None:
    echo.mishaps.append(mishap)  # type: ignore[arg-type]
    async with ApiClient(echo.url, QUICK) as client:
        with pytest.raises(error) as raised:
            await client.get("/v1/x", {"email": "jane@example.com"}, Authorization="Bearer sk_live_1")
    assert len(echo.requests) == 1
    assert "jane" not in str(raised.value)
    assert "sk_live" not in str(raised.value)


async def test_a_next_page_is_followed_on_the_same_host_only(echo: Echo) -> None:
    async with ApiClient(echo.url, QUICK) as client:
        assert (await client.follow(f"{echo.url}/v1/events?after=2")).status == 200
        assert (await client.follow("/v1/events?after=3")).status == 200
        for address in ("http://127.0.0.1:1/v1/events", "https://evil.example/", "//evil.example/x", "ftp://127.0.0.1/",
                        echo.url.replace("://", "://user@"), echo.url.replace("://", "://:password@"),
                        echo.url.replace("http", "https"), "http://[", "https:", "mailto:a@b"):  # fmt: skip
            with pytest.raises(ApiUnexpectedError, match="next page"):
                await client.follow(address)
    assert len(echo.requests) == 2


async def test_an_answer_that_is_too_large_ends(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "RESPONSE_BYTES_MAX", 1000)
    echo.mishaps.append(text(b"x" * 1001))
    async with ApiClient(echo.url, QUICK) as client:
        with pytest.raises(ApiUnexpectedError, match="more than 1000 bytes"):
            await client.get("/a")


async def test_an_answer_that_takes_too_long_is_unavailable(echo: Echo) -> None:
    echo.gate.clear()
    async with ApiClient(echo.url, Limits(timeout_s=0.05, attempts_max=1)) as client:
        with pytest.raises(ApiUnavailableError, match="TimeoutError"):
            await client.get("/a")
    echo.gate.set()  # the server waits for its handlers when it ends


@asynccontextmanager
async def answering(
    now: list[bytes], seen: list[bytes] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve these bytes, and hang up. Yield the address; keep the requests in `seen`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.writelines(now)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        yield f"{'https' if tls else 'http'}://localhost:{server.sockets[0].getsockname()[1]}"


SECRETS = ("sk_live_marked", "jane@example.com")
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b'Content-Length: 11\r\n\r\n{"data":[]}'


async def refused(client: ApiClient) -> str:
    """Return the error of a request with a secret in it, with all that a log could show of it."""
    with pytest.raises(ApiError) as error:
        await client.get("/a", {"email": SECRETS[1]}, Authorization=SECRETS[0])
    shown = "".join(traceback.format_exception(error.value)) + repr(vars(error.value))
    assert not any(secret in shown for secret in SECRETS)
    return type(error.value).__name__


async def test_an_answer_that_breaks_off_anywhere_is_unavailable() -> None:
    once, now = Limits(timeout_s=2, attempts_max=1, requests_per_s_max=1e6), list[bytes]()
    async with answering(now) as url, ApiClient(url, once) as client:
        for length in range(len(WHOLE)):
            now[:] = [WHOLE[:length]]
            assert await refused(client) == "ApiUnavailableError"
        now[:] = [WHOLE]
        assert (await client.get("/a")).body == b'{"data":[]}'


@pytest.mark.parametrize(
    "answer",
    [
        b"\0" * 100, b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 999999 OK\r\n\r\n", OK + b"no colon\r\n\r\n",
        OK + b"A: " + b"x" * 20_000 + b"\r\n\r\n", OK + b"A: a\0b\r\n\r\n", OK + b"A: 1\r\n" * 50_000 + b"\r\n",
        OK + b"Content-Length: -1\r\n\r\n", OK + b"Content-Length: 9\r\nContent-Length: 8\r\n\r\n123456789",
        OK + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 429 No\r\nRetry-After: Thu, 26 Nov " + b"9" * 30 + b" 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_http_is_an_error_without_the_key(answer: bytes) -> None:
    async with answering([answer]) as url, ApiClient(url, Limits(timeout_s=2, attempts_max=1)) as client:
        assert await refused(client) in ("ApiUnavailableError", "ApiUnexpectedError")


@pytest.mark.parametrize(
    ("name", "age", "is_known", "outcome"),
    [
        ("localhost", 0, True, "200"), ("api.stripe.com", 0, True, "ApiUnavailableError"),
        ("localhost", 9, True, "ApiUnavailableError"), ("localhost", 0, False, "ApiUnavailableError"),
    ],
)  # fmt: skip
async def test_only_who_proves_the_hosts_name_gets_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, age: int, outcome: str, *, is_known: bool
) -> None:
    authority = Authority(tmp_path)
    known = authority if is_known else Authority(tmp_path, "another")
    monkeypatch.setenv("SSL_CERT_FILE", str(known.file))
    monkeypatch.setattr(api_client, "_tls", ssl.create_default_context)  # as it is made, and for this test only
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue(name, ago=timedelta(days=age)))
    seen: list[bytes] = []
    async with answering([WHOLE], seen, tls) as url, ApiClient(url, Limits(timeout_s=2, attempts_max=1)) as client:
        try:
            found = str((await client.get("/a", Authorization=SECRETS[0])).status)
        except ApiError as error:
            found = type(error).__name__
    assert (found, len(seen)) == (outcome, outcome == "200")


async def test_an_id_stays_one_segment_of_the_path(echo: Echo) -> None:
    async with ApiClient(f"{echo.url}/base", QUICK) as client:
        await client.get(f"/v1/payments/{segment('../../admin?x=1#y z')}")
    assert echo.requests[0].path == "/base/v1/payments/../../admin?x=1#y z"  # decoded by the server, as one segment
    for id_ in ("", ".", "..", "x" * 256, "a\0", "a\r\nb", "\ud800"):
        with pytest.raises(NotFoundError):
            segment(id_)


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [("7", 7.0), (" 7 ", 7.0), ("", None), ("soon", None), ("-1", None), ("1.5", None),
     ("1" * 13, api_client.WAIT_S_MAX), ("9" * 999, api_client.WAIT_S_MAX),
     ("Thu, 26 Nov 2026 12:00:30 GMT", 30.0), ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
     ("Thu, 26 Nov 9999 12:00:00 GMT", api_client.WAIT_S_MAX), (f"Thu, 26 Nov {'9' * 20} 12:00:00 GMT", None),
     (f"Thu, 26 Nov 2026 12:00:00 +{'9' * 20}", None), ("Thu, 99 Nov 2026 99:00:00 GMT", None)],
)  # fmt: skip
def test_the_wait_an_answer_asks_for(value: str, wait_s: float | None) -> None:
    assert retry_after_s(value, datetime(2026, 11, 26, 12, tzinfo=UTC)) == wait_s


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"RateLimit_Reset": "Thu, 26 Nov 2026 12:05:00 GMT", "Date": "Thu, 26 Nov 2026 12:00:00 GMT"}, 300.0),
        ({"RateLimit_Reset": "Thu, 26 Nov 2026 12:05:00 GMT", "Retry_After": "200"}, 200.0),
        ({"RateLimit_Reset": "1795780000"}, None),
    ],
)
async def test_the_end_of_a_limit_is_by_the_clock_of_who_names_it(
    echo: Echo, headers: dict[str, str], wait_s: float | None
) -> None:
    echo.mishaps.append(status(429, None, **headers))
    async with ApiClient(echo.url, Limits(attempts_max=1)) as client:
        with pytest.raises(ApiUnavailableError) as error:
            await client.get("/a")
    assert error.value.retry_after_s == wait_s
