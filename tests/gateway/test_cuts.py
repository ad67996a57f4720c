"""The answers to a client's bytes are the same however they are cut, with and without its side closed, over TLS too."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.gateway import Client, Running, payment, request, running
from tests.support.servers import ValkeyServer
from tests.support.tls import write_certificate

Answers = list[tuple[int, bytes]]

BODY_BYTES_MAX = 4096
SEEDED_CUTS = 25
CLOSING_STEP = 4
"""Every fourth cut is tried with the client's side closed as well."""

TOGETHER = 16
"""Connections that are tried at the same time."""


def chunked(number: int, *sizes: int, extension: str = "", trailer: str = "") -> bytes:
    """Return a genuine request whose body comes in chunks of these sizes, the last one with all the rest."""
    signed = payment(number)
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
    head = f"POST {signed.path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{lines}\r\n".encode()
    body, chunks = signed.body, b""
    for size in (*sizes, len(signed.body)):
        chunk, body = body[:size], body[size:]
        if chunk:
            chunks += f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n"
    return head + chunks + f"0\r\n{trailer}\r\n".encode()


def genuine(number: int, **headers: str) -> bytes:
    """Return a signed request. Its event is in the stream before: the answer is `duplicate`, whenever it is sent."""
    signed = payment(number)
    return request(signed.path, signed.body, {**signed.headers, **headers})


PAGE = request("/healthz", method="GET")
UPGRADE = {"Connection": "Upgrade", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"}
WEBSOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
MANY_HEADERS = b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 127
SEVERAL = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"

SEQUENCES: dict[str, tuple[bytes, list[int]]] = {
    "one": (genuine(1), [200]),
    "three": (genuine(1) + genuine(2) + genuine(1), [200, 200, 200]),
    "blank lines between": (b"\r\n\r\n" + genuine(1) + b"\r\n\r\n\r\n" + genuine(2), [200, 200]),
    "a byte that begins no request": (genuine(1) + b"\x00", [200, 400]),
    "a letter that begins no request": (genuine(1) + b"x" + genuine(2), [200, 400]),
    "TLS without TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
    "nonsense between": (genuine(1) + b"nonsense\r\n\r\n" + genuine(2), [200, 400]),
    "lines without a carriage return": (genuine(1) + b"GET /healthz HTTP/1.1\nHost: a\n\n", [200, 400]),
    "a bad header": (genuine(1) + b"GET /healthz HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n" + PAGE, [200, 400]),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n" + PAGE, [400]),
    "no host": (PAGE + b"GET /healthz HTTP/1.1\r\n\r\n" + PAGE, [200, 400]),
    "an unknown method": (PAGE + b"FETCH /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + PAGE, [200, 400]),
    "another version": (PAGE + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [200, 400]),
    "a long line": (genuine(1) + b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", [200, 431]),
    "a long line that is malformed": (genuine(1) + b"GET /" + b"x" * 9000 + b"\n HTTP/1.1\r\n\r\n", [200, 431]),
    "a malformed line before a long one": (b"GET / HTTP/1.1\r\nX Y: z\r\nX: " + b"x" * 9000 + b"\r\n\r\n", [400]),
    "long headers": (PAGE + PAGE[:-2] + b"".join(b"X-%d: %b\r\n" % (n, b"x" * 500) for n in range(20)), [200, 431]),
    "as many headers as may be": (genuine(1) + MANY_HEADERS + b"\r\n" + genuine(2), [200, 200, 200]),
    "a header too many": (genuine(1) + MANY_HEADERS + b"a:\r\n\r\n" + genuine(2), [200, 431]),
    "a signed one with a header too many": (genuine(1).replace(b"\r\n", b"\r\n" + b"a:\r\n" * 126, 1), [431]),
    "two lengths": (genuine(1) + SEVERAL + genuine(2), [200, 400]),
    "an unsigned one": (request("/webhook", b"{}") + genuine(1), [401, 200]),
    "an unknown path": (request("/nowhere", b"x" * 2000) + genuine(1), [404, 200]),
    "a method that is not allowed": (request("/webhook", method="PUT") + genuine(1), [405, 200]),
    "an unread body of a page": (request("/healthz", b"x" * 500, method="GET") + genuine(1), [200, 200]),
    "a large body": (genuine(1) + request("/webhook", b"x" * (BODY_BYTES_MAX + 1)) + genuine(1), [200, 413]),
    "the last one by its own wish": (genuine(1, Connection="close") + genuine(2), [200]),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n" + genuine(2), [200]),
    "HTTP/1.0 that goes on": (b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + genuine(2), [200, 200]),
    "a compressed body": (genuine(1, **{"Content-Encoding": "gzip"}) + genuine(2), [415]),
    "an upgrade": (genuine(1, **UPGRADE) + genuine(2), [200, 200]),
    "an upgrade without a body": (request("/healthz", method="GET", headers=UPGRADE) + genuine(2), [200, 200]),
    "a websocket": (request("/healthz", method="GET", headers=WEBSOCKET) + genuine(2), [200, 200]),
    "a signed websocket": (genuine(1, **WEBSOCKET) + genuine(2), [200, 200]),
    "a tunnel": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + genuine(1), [405]),
    "a tunnel with a body": (genuine(1) + genuine(2).replace(b"POST /webhook ", b"CONNECT a:443 "), [200, 405]),
    "options of all": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + genuine(1), [404, 200]),
    "an absolute address": (genuine(1).replace(b" /", b" http://a/", 1) + genuine(2), [200, 200]),
    "a host that is no name": (genuine(1).replace(b" /", b" http://xn--/", 1) + genuine(2), [200, 200]),
    "a host that is no name, of a page": (PAGE.replace(b" /", b" http://xn--/", 1) + genuine(2), [200, 200]),
    "no path and no host": (genuine(1) + genuine(2).replace(b" /", b" a:", 1) + PAGE, [200, 400]),
    "a signed one of HTTP/2": (genuine(1).replace(b"HTTP/1.1", b"HTTP/2.0"), [400]),
    "a signed one of HTTP/0.9": (genuine(1).replace(b"HTTP/1.1", b"HTTP/0.9"), [400]),
    "a signed one of another protocol": (genuine(1).replace(b"HTTP/1.1", b"RTSP/1.0"), [400]),
    "a signed one without a version": (genuine(1).replace(b" HTTP/1.1", b""), [400]),
    "an empty encoding": (genuine(1).replace(b"\r\n", b"\r\nTransfer-Encoding:\r\n", 1), [400]),
    "an expectation": (genuine(1, Expect="100-continue") + genuine(2), [200, 200]),
    "chunks": (chunked(1, 5, 1, 1) + chunked(2) + genuine(1), [200, 200, 200]),
    "chunks with extensions": (chunked(1, 9, extension=";a=b", trailer="X: y\r\n") + genuine(2), [200, 200]),
    "a bad chunk": (genuine(1) + chunked(1).split(b"\r\n\r\n")[0] + b"\r\n\r\n3\r\nabc\r\nnot hex", [200, 400]),
    "a chunk that is too long": (chunked(1, 7).replace(b"\r\n7\r\n", b"\r\n6\r\n") + genuine(2), [400]),
    "a bad trailer": (chunked(1, trailer="X Y: z\r\n") + genuine(2), [400]),
    "large chunks": (b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n", [413]),
    "another encoding": (chunked(1).replace(b": chunked", b": gzip, chunked") + genuine(2), [400]),
    "both framings": (chunked(1).replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n", 1) + genuine(2), [400]),
    "an unfinished body": (genuine(1) + genuine(2)[:-1], [200, 400]),
    "unfinished headers": (genuine(1) + genuine(2)[:30], [200, 400]),
}  # fmt: skip
"""What is sent and the statuses that it gets. The last two are answered only where the client ends its side."""

UNFINISHED = ("an unfinished body", "unfinished headers")


@dataclass(frozen=True, slots=True)
class Cut:
    """One way to send the bytes."""

    pieces: Sequence[bytes]
    closes_its_side: bool


@pytest_asyncio.fixture
async def primed(valkey: ValkeyServer, key_prefix: str) -> AsyncIterator[Running]:
    """Serve a gateway that has accepted every event."""
    async with running(valkey.url, key_prefix, body_bytes_max=BODY_BYTES_MAX, headers_bytes_max=4096 * 2) as gateway:
        for number in (1, 2):
            assert (await gateway.post(payment(number))).status == 202
        yield gateway


async def answers(client: Client, cut: Cut, count: int) -> Answers:
    """Send the pieces, each in a segment of its own as far as that can be had; return the final answers."""
    client.writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
    for piece in cut.pieces:
        client.writer.write(piece)
        await client.writer.drain()
    if cut.closes_its_side and client.writer.can_write_eof():
        client.writer.write_eof()
    received: Answers = []
    while len(received) < count:
        answer = await client.answer()
        if answer.status >= 200:
            received.append((answer.status, answer.body))
    if (cut.closes_its_side and client.writer.can_write_eof()) or received[-1][0] in (400, 413, 431):
        assert await client.closed()
    return received


async def all_answers(gateway: Running, cuts: Sequence[Cut], count: int) -> set[tuple[tuple[int, bytes], ...]]:
    """Return every list of answers that any of the cuts gets: one, where all get the same."""
    at_once = asyncio.Semaphore(TOGETHER)

    async def one(cut: Cut) -> tuple[tuple[int, bytes], ...]:
        async with at_once, await gateway.client() as client:
            return tuple(await answers(client, cut, count))

    return set(await asyncio.gather(*map(one, cuts)))


def all_cuts(data: bytes, *, may_stay_open: bool) -> list[Cut]:
    """Return the whole, every byte alone, every cut in two (a sample of them for long data), and seeded cuts."""
    seeded = random.Random(len(data))
    pieces = [[data], [data[i : i + 1] for i in range(min(len(data), 2000))] + [data[2000:]]]
    places = range(1, len(data)) if len(data) < 1200 else sorted(seeded.sample(range(1, len(data)), 300))
    pieces += [[data[:at], data[at:]] for at in places]
    for _ in range(SEEDED_CUTS):
        cuts = sorted({0, len(data), *seeded.choices(range(len(data)), k=seeded.randrange(2, 12))})
        pieces.append([data[start:end] for start, end in pairwise(cuts)])
    open_ones = [Cut([piece for piece in each if piece], closes_its_side=False) for each in pieces]
    closing = [Cut(cut.pieces, closes_its_side=True) for cut in open_ones]
    return [*open_ones, *closing[::CLOSING_STEP]] if may_stay_open else closing


@pytest.mark.parametrize("name", SEQUENCES)
async def test_the_answers_do_not_depend_on_how_the_bytes_are_cut(primed: Running, name: str) -> None:
    data, statuses = SEQUENCES[name]
    found = await all_answers(primed, all_cuts(data, may_stay_open=name not in UNFINISHED), len(statuses))
    assert [status for status, _ in next(iter(found))] == statuses
    assert len(found) == 1
    assert primed.counted("internal_errors_total") == 0


@pytest.mark.parametrize("name", ["three", "an upgrade", "a byte that begins no request", "chunks", "a bad chunk"])
async def test_over_tls_too(valkey: ValkeyServer, key_prefix: str, tmp_path: Path, name: str) -> None:
    data, statuses = SEQUENCES[name]
    certificate = write_certificate(tmp_path)
    async with running(valkey.url, key_prefix, certificate=certificate, linger_s=0.1) as gateway:
        for number in (1, 2):
            assert (await gateway.post(payment(number))).status == 202
        cuts = [cut for cut in all_cuts(data, may_stay_open=True) if not cut.closes_its_side]
        found = await all_answers(gateway, cuts[:: max(1, len(cuts) // SEEDED_CUTS)], len(statuses))
    assert [status for status, _ in next(iter(found))] == statuses
    assert len(found) == 1
