"""Fetched keys: from a real https server on this machine, and from a local function where time matters."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from providers.base import SignatureError, UnavailableError
from providers.keyring import (
    DOCUMENTS_MAX,
    FAILURE_KEPT_S,
    FETCH_BYTES_MAX,
    KEPT_S,
    Keyring,
    https_fetch,
    pinned_url,
)
from tests.support.cases.base import NOW
from tests.support.cases.public_keys import rsa_private
from tests.support.wait import until

URL = "https://a.example/keys"


FLOODS = {
    "/small-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (FETCH_BYTES_MAX + 1),
    "/early-hints": b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * 12_000,
}
"""What costs a reader much for each byte."""


class Pages:
    """What the server answers, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        match request.path:
            case "/keys":
                assert "Authorization" not in request.headers
                return web.Response(body=b"keys")
            case "/moved":
                raise web.HTTPFound("/keys")
            case "/largest":
                return web.Response(body=b"x" * FETCH_BYTES_MAX)
            case "/larger":
                return web.Response(body=b"x" * (FETCH_BYTES_MAX + 1))
            case "/endless":
                return await self._endless(request)
            case "/silent":
                await self.left.wait()
            case "/small-chunks" | "/early-hints":
                assert request.transport is not None
                request.transport.write(FLOODS[request.path])
        return web.Response(status=404, body=b"keys")

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not self.left.is_set():
            await response.write(b"x" * 10_000)
        return response


def server_certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1, with its key."""
    key = rsa_private("server")
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = x509.CertificateBuilder(issuer, issuer, key.public_key(), 1).not_valid_before(NOW - timedelta(days=9999))
    made = now.not_valid_after(NOW + timedelta(days=9999)).add_extension(address, critical=True).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (path := folder / "server.pem").write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


class Site(Pages):
    """The server, with its address and the TLS context that trusts it."""

    url = ""
    trusting: ssl.SSLContext


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site, path = Site(), server_certificate(tmp_path)
    site.trusting = ssl.create_default_context(cafile=str(path))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(path)
    runner = web.ServerRunner(web.Server(site.answer), shutdown_timeout=0.1)  # type: ignore[arg-type]
    await runner.setup()
    where = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
    await where.start()
    site.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    site.left.set()
    await runner.cleanup()


async def test_a_document_is_fetched(site: Site) -> None:
    fetch = https_fetch(site.trusting)
    assert await fetch(f"{site.url}/keys") == b"keys"
    assert len(await fetch(f"{site.url}/largest")) == FETCH_BYTES_MAX


@pytest.mark.parametrize(
    ("path", "why"), [("/moved", "302"), ("/none", "404"), ("/larger", "more than"), ("/endless", "more than")]
)
async def test_a_redirect_an_error_or_too_large_a_document_is_a_failure(site: Site, path: str, why: str) -> None:
    with pytest.raises(UnavailableError, match=why):
        await https_fetch(site.trusting)(site.url + path)
    assert site.asked == [path]


async def test_a_silent_server_times_out(site: Site) -> None:
    with pytest.raises(UnavailableError, match="TimeoutError"):
        await https_fetch(site.trusting, timeout_s=0.2)(f"{site.url}/silent")


async def longest_share(fetch: asyncio.Future[bytes]) -> float:
    """Return the processor time of the longest turn of the loop until the fetch fails, as a part of that of all."""
    turns_s: list[float] = []

    def count() -> None:
        turns_s.append(time.thread_time())
        if not fetch.done():
            asyncio.get_running_loop().call_soon(count)

    count()
    with pytest.raises(UnavailableError):
        await fetch
    return max(after - before for before, after in pairwise(turns_s)) / (turns_s[-1] - turns_s[0])


@pytest.mark.parametrize("path", FLOODS)
async def test_a_flood_of_small_pieces_is_read_in_many_turns_of_the_loop(site: Site, path: str) -> None:
    """Before, one turn of two or three took more than half of the time. The least of some tries counts."""
    shares = [await longest_share(asyncio.ensure_future(https_fetch(site.trusting)(site.url + path))) for _ in "abc"]
    assert min(shares) < 0.25


async def test_an_untrusted_or_absent_server_is_a_failure(site: Site) -> None:
    with pytest.raises(UnavailableError):
        await https_fetch()(f"{site.url}/keys")
    assert site.asked == []
    with pytest.raises(UnavailableError):
        await https_fetch(site.trusting)("https://127.0.0.1:1/keys")


class Source:
    """A fetch that is counted and can be delayed; the test sets its result."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.document: bytes | None = b"1"
        self.going = asyncio.Event()
        self.going.set()

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await self.going.wait()
        if self.document is None:
            raise UnavailableError(f"{url} answered 500")
        return self.document


@pytest.fixture
def source() -> Source:
    return Source()


def keyring(source: Source) -> Keyring[int]:
    return Keyring(int, source.fetch)


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


async def test_a_document_is_cached_for_its_maximal_age(source: Source) -> None:
    keys = keyring(source)
    assert await keys.get(URL, NOW) == 1
    source.document = b"2"
    assert await keys.get(URL, NOW + after(KEPT_S)) == 1
    assert await keys.get(URL, NOW + after(KEPT_S + 1)) == 2
    source.document = b"3"
    assert await keys.get(URL, NOW + after(KEPT_S + 20), age_s_max=10) == 3


async def test_a_clock_that_was_set_back_causes_a_fetch(source: Source) -> None:
    keys = keyring(source)
    assert await keys.get(URL, NOW) == 1
    source.document = b"2"
    assert await keys.get(URL, NOW - after(1)) == 2


@pytest.mark.parametrize("document", [None, b"no number", b"\xff"])
async def test_a_failed_address_is_not_fetched_again_at_once(source: Source, document: bytes | None) -> None:
    keys = keyring(source)
    source.document = document
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await keys.get(URL, NOW)
    assert len(source.asked) == 1
    source.document = b"1"
    assert await keys.get(URL, NOW + after(FAILURE_KEPT_S + 1)) == 1


async def test_callers_of_one_address_share_one_fetch(source: Source) -> None:
    keys = keyring(source)
    source.going.clear()
    waiting = [asyncio.create_task(keys.get(URL, NOW)) for _ in range(10)]
    await until(lambda: source.asked != [], what="it is asked")
    waiting[0].cancel()
    source.going.set()
    assert await asyncio.gather(*waiting[1:]) == [1] * 9
    assert source.asked == [URL]


async def test_keys_that_cannot_be_fetched_again_may_be_used_for_a_grace() -> None:
    slow = Source()
    keys = keyring(slow)
    assert await keys.get(URL, NOW) == 1
    slow.document = None
    assert await keys.get(URL, NOW + after(KEPT_S + 1), grace_s=60) == 1
    assert len(slow.asked) == 2
    assert await keys.get(URL, NOW + after(KEPT_S + 2), grace_s=60) == 1
    assert len(slow.asked) == 2
    for grace_s in (0, 60):
        with pytest.raises(UnavailableError):
            await keys.get(URL, NOW + after(KEPT_S + 62), grace_s=grace_s)


def test_there_is_one_tls_context_for_all_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    https_fetch()
    made: list[object] = []
    monkeypatch.setattr(ssl, "create_default_context", lambda: made.append(1))
    Keyring(int)
    https_fetch()
    assert made == []


async def test_the_number_of_cached_documents_is_limited(source: Source) -> None:
    keys = keyring(source)
    for number in range(DOCUMENTS_MAX + 1):
        await keys.get(f"{URL}/{number}", NOW)
        await keys.get(f"{URL}/0", NOW)
    assert len(source.asked) == DOCUMENTS_MAX + 1
    await keys.get(f"{URL}/1", NOW)
    assert source.asked[-1] == f"{URL}/1"
    assert len(source.asked) == DOCUMENTS_MAX + 2


@pytest.mark.parametrize(
    "url", [b"", b"\xff", b"https://example", b"https://b.example/keys", b"https://xa.example/keys"]
)
def test_other_addresses_are_refused(url: bytes) -> None:
    with pytest.raises(SignatureError):
        pinned_url(url, "a.example")
