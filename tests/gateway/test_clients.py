"""Clients that are slow, rude, gone or malicious: each is answered or cut off, at a bounded cost."""

import asyncio
import random
from typing import cast

import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from tests.support.gateway import Client, Running, entries, payment, request, running
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PROBLEM = "application/problem+json"
JUNK = [*range(0x20, 0x7F), *range(0x80, 0x100), 0x09]
"""Every byte that a header may hold at all."""

JUNK_ROUNDS = 300
DRIP_S = 0.05
UNREAD_ANSWERS = 1000
"""Answers with the longest page: more than the buffers of any connection hold."""

UNREAD_REFUSALS = 4000
"""Short answers, of 1 MB in all."""


async def drip(client: Client, data: bytes) -> None:
    """Send one byte at a time, until the other side closes."""
    for byte in data:
        if client.writer.is_closing() or client.reader.at_eof():
            return
        client.writer.write(bytes([byte]))
        await asyncio.wait([asyncio.create_task(client.writer.drain())], timeout=DRIP_S)
        await until_next_drip()


async def until_next_drip() -> None:
    """Pause at the slow client's pace, which is under test; this is not a wait for something to happen."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=DRIP_S)


async def test_a_body_that_drips_is_cut_with_408(valkey: ValkeyServer, key_prefix: str) -> None:
    signed = payment()
    head, _, body = request(signed.path, signed.body, signed.headers).partition(b"\r\n\r\n")
    async with (
        running(valkey.url, key_prefix, body_timeout_s=0.3, linger_s=0.1) as gateway,
        await gateway.client() as client,
    ):
        await client.send(head + b"\r\n\r\n")
        dripping = asyncio.create_task(drip(client, body[:-1]))
        answer = await client.answer()
        assert (answer.status, answer.headers["content-type"]) == (408, PROBLEM)
        assert answer.headers["connection"] == "close"
        assert await client.closed()
        dripping.cancel()


async def test_headers_that_drip_are_cut(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, headers_timeout_s=0.3) as gateway, await gateway.client() as client:
        dripping = asyncio.create_task(drip(client, b"POST /webhook HTTP/1.1\r\nX-Slow: " + b"x" * 1000))
        assert await client.closed()
        dripping.cancel()


async def test_headers_that_drip_after_a_first_request_are_cut(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, headers_timeout_s=0.3) as gateway, await gateway.client() as client:
        await client.send(request("/healthz", method="GET"))
        assert (await client.answer()).status == 200
        dripping = asyncio.create_task(drip(client, b"POST /webhook HTTP/1.1\r\nX-Slow: " + b"x" * 1000))
        assert await client.closed()
        dripping.cancel()


async def test_a_connection_that_never_sends_a_request_is_ended(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, first_request_timeout_s=0.2) as gateway:
        async with await gateway.client() as client:
            assert await client.closed()
        async with await gateway.client() as client:
            await client.send(b"\r\n" * 1000)  # blank lines begin no request
            assert await client.closed()


async def test_a_connection_that_is_idle_after_an_answer_is_ended(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, keepalive_s=0.2) as gateway, await gateway.client() as client:
        await client.send(request("/healthz", method="GET"))
        assert (await client.answer()).status == 200
        assert await client.closed()


async def test_a_client_that_never_reads_its_answers_is_cut_off(valkey: ValkeyServer, key_prefix: str) -> None:
    async with running(valkey.url, key_prefix, unread_timeout_s=0.2) as gateway, await gateway.client() as client:
        client.writer.write(request("/openapi.json", method="GET") * UNREAD_ANSWERS)
        await until(lambda: gateway.counted("connections") == 1, what="the gateway has the connection")
        await until(lambda: gateway.counted("connections") == 0, what="the gateway has ended it")
        assert (await gateway.get("/healthz")).status == 200


async def test_a_client_that_reads_nothing_gets_no_more_than_small_buffers_hold(
    valkey: ValkeyServer, key_prefix: str
) -> None:
    async with running(valkey.url, key_prefix, unread_timeout_s=1) as gateway, await gateway.client() as client:
        cast("asyncio.ReadTransport", client.writer.transport).pause_reading()
        client.writer.write(request("/nowhere") * UNREAD_REFUSALS)
        await until(lambda: gateway.counted("requests_total", status="404") > 0, what="the gateway answers")
        await until(lambda: gateway.counted("connections") == 0, what="the gateway has ended it")
        assert gateway.counted("requests_total", status="404") < UNREAD_REFUSALS / 2


async def test_a_client_that_reads_its_answers_late_gets_them_all(gateway: Running) -> None:
    async with await gateway.client() as client:
        client.writer.write(request("/openapi.json", method="GET") * UNREAD_ANSWERS)
        await until_next_drip()
        assert {(await client.answer()).status for _ in range(UNREAD_ANSWERS)} == {200}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"POST * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n", 400),
        (b"POST /webhook HTTP/1.1\r\nHost: a\r\nX-Signature : space\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_malformed_http_is_a_problem(gateway: Running, data: bytes, status: int) -> None:
    answer = await gateway.exchange(data)
    assert (answer.status, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("source", ["/webhook", "/webhooks/stripe"])
async def test_junk_in_headers_is_never_an_internal_error(gateway: Running, source: str) -> None:
    seeded = random.Random(7)
    name = {"/webhook": b"X-Signature: ", "/webhooks/stripe": b"Stripe-Signature: "}[source]
    async with await gateway.client() as client:
        for _ in range(JUNK_ROUNDS):
            values = [bytes(seeded.choices(JUNK, k=seeded.randrange(40))) for _ in range(seeded.randrange(4))]
            await client.send(request(source, b"{}", raw=b"".join(name + value + b"\r\n" for value in values)))
            assert (await client.answer()).status == 401, values
    assert gateway.counted("internal_errors_total") == 0


async def test_repeated_and_odd_headers_around_a_genuine_one(gateway: Running) -> None:
    signed = payment()
    odd = b"X-Other: \xff\xfe\r\nX-Other: 2\r\nX-Text: text/\xe9\r\nPrefer: wait=soon\r\nTraceparent: 00-zz\r\n"
    answer = await gateway.exchange(request(signed.path, signed.body, signed.headers, raw=odd))
    assert answer.status == 202


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"[" * 20_000, b"null", b'{"a":' + b"9" * 5000 + b"}"])
async def test_unsigned_junk_is_401_whatever_it_is(gateway: Running, body: bytes) -> None:
    assert (await gateway.exchange(request("/webhook", body))).status == 401


async def test_a_client_that_asks_before_it_sends(gateway: Running) -> None:
    signed = payment()
    async with await gateway.client() as client:
        head, _, body = request(signed.path, signed.body, {**signed.headers, "Expect": "100-continue"}).partition(
            b"\r\n\r\n"
        )
        await client.send(head + b"\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)
        assert (await client.answer()).status == 202


async def test_requests_sent_without_waiting_are_answered_in_order(gateway: Running) -> None:
    async with await gateway.client() as client:
        sent = [payment(number) for number in (1, 2, 1)]
        await client.send(b"".join(request(each.path, each.body, each.headers) for each in sent))
        assert [(await client.answer()).status for _ in sent] == [202, 202, 200]


async def test_http_1_0(gateway: Running) -> None:
    async with await gateway.client() as client:
        await client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await client.closed()
    async with await gateway.client() as client:
        await client.send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
        assert (await client.answer()).headers["connection"] == "keep-alive"
        assert (await client.answer()).status == 200


async def test_a_client_that_hangs_up_after_sending(private_valkey: ValkeyServer, key_prefix: str) -> None:
    keys = Keys(key_prefix)
    signed = payment()
    async with TcpProxy(private_valkey.port) as proxy:
        url = proxy.url(private_valkey.url)
        async with running(url, key_prefix, durability_check_s=300) as gateway:
            proxy.stall()
            async with await gateway.client() as client:
                await client.send(request(signed.path, signed.body, signed.headers))
                await until(lambda: gateway.counted("verified_total"), what="the request is verified")
            proxy.resume()
            async with Redis.from_url(private_valkey.url, protocol=2) as redis:
                await until(lambda: entries(redis, keys), what="the event is published all the same")
            assert (await gateway.post(signed)).status == 200


async def test_a_client_that_hangs_up_in_its_body_leaves_nothing(gateway: Running, redis: Redis, keys: Keys) -> None:
    signed = payment()
    async with await gateway.client() as client:
        await client.send(request(signed.path, signed.body, signed.headers)[:-5])
        await until(lambda: gateway.counted("connections"), what="the gateway has the connection")
    await until(lambda: gateway.counted("rejected_total", reason="broken_body"), what="the request is given up")
    assert not await redis.exists(keys.events)
    assert gateway.counted("internal_errors_total") == 0


async def test_a_full_queue_is_503(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with TcpProxy(private_valkey.port) as proxy:
        async with running(
            proxy.url(private_valkey.url), key_prefix, publish_queue_max=5, durability_check_s=300
        ) as gateway:
            proxy.stall()
            posting = [asyncio.create_task(gateway.post(payment(number))) for number in range(20)]
            await until(lambda: gateway.counted("requests_total", status="503"), what="the first ones are refused")
            proxy.resume()
            statuses = [answer.status for answer in await asyncio.gather(*posting)]
        assert set(statuses) == {202, 503}


async def test_batches_are_bounded(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with (
        TcpProxy(private_valkey.port) as proxy,
        running(proxy.url(private_valkey.url), key_prefix, publish_batch_max=7, durability_check_s=300) as gateway,
    ):
        proxy.stall()
        posting = [asyncio.create_task(gateway.post(payment(number))) for number in range(40)]
        await until(lambda: gateway.counted("verified_total") == 40, what="all are verified")
        proxy.resume()
        assert {answer.status for answer in await asyncio.gather(*posting)} == {202}
        assert gateway.counted("publish_batch_events_count") >= 6
        assert gateway.counted("publish_batch_events_bucket", le="10.0") == gateway.counted(
            "publish_batch_events_count"
        )
