"""Limits in front of aiohttp: headers in bytes and time, clients that have closed their side, what aiohttp answers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from contract.keys import Keys
from tests.gateway.test_clients import drip, until_next_drip
from tests.support.gateway import Running, entries, payment, request, running
from tests.support.servers import ValkeyServer
from tests.support.wait import until

PROBLEM = "application/problem+json"
HEAD = b"POST /webhook HTTP/1.1\r\nHost: a\r\n"


async def test_headers_that_drip_are_cut_although_the_connection_may_be_idle_for_longer(
    valkey: ValkeyServer, key_prefix: str
) -> None:
    async with running(valkey.url, key_prefix, headers_timeout_s=0.3) as gateway, await gateway.client() as client:
        dripping = asyncio.create_task(drip(client, HEAD + b"X-Slow: " + b"x" * 1000))
        assert await client.closed()
        dripping.cancel()


async def test_headers_that_arrive_in_parts_are_read(gateway: Running) -> None:
    signed = payment()
    whole = request(signed.path, signed.body, signed.headers)
    async with await gateway.client() as client:
        for start in range(0, len(whole), 7):
            await client.send(whole[start : start + 7])
        assert (await client.answer()).status == 202
        await client.send(b"\r\n\r\n" + whole)
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in parts"])
async def test_headers_with_too_many_bytes_are_431(valkey: ValkeyServer, key_prefix: str, *, at_once: bool) -> None:
    lines = [b"X-%d: %b\r\n" % (number, b"x" * 900) for number in range(10)]
    async with (
        running(valkey.url, key_prefix, headers_bytes_max=4096, header_line_bytes_max=1024) as gateway,
        await gateway.client() as client,
    ):
        if at_once:
            await client.send(HEAD + b"".join(lines) + b"\r\n")
        else:
            for line in (HEAD, *lines[:5]):
                await client.send(line)
                await until_next_drip()
        answer = await client.answer()
        assert (answer.status, answer.headers["content-type"]) == (431, PROBLEM)
        assert gateway.counted("rejected_total", source="-", reason="malformed_http") == 1


async def test_long_headers_within_the_limits_are_read(gateway: Running) -> None:
    signed = payment()
    raw = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 8000) for number in range(3))
    assert (await gateway.exchange(request(signed.path, signed.body, signed.headers, raw=raw))).status == 202


async def test_a_body_is_not_taken_for_headers(gateway: Running) -> None:
    async with await gateway.client() as client:
        sent = request("/nowhere", b"x" * 1000)
        await client.send(sent[:-500])
        await client.send(b"x" * 500 + request("/healthz", method="GET"))
        assert [(await client.answer()).status for _ in range(2)] == [404, 200]


async def test_a_client_that_has_closed_its_side_gets_the_answer(gateway: Running) -> None:
    signed = payment()
    async with await gateway.client() as client:
        await client.send(request(signed.path, signed.body, signed.headers))
        client.writer.write_eof()
        assert (await client.answer()).status == 202
        assert await client.closed()


async def test_a_client_that_closes_its_side_within_the_body_is_given_up(
    gateway: Running, redis: Redis, keys: Keys
) -> None:
    signed = payment()
    async with await gateway.client() as client:
        await client.send(request(signed.path, signed.body, signed.headers)[:-5])
        client.writer.write_eof()
        await until(lambda: gateway.counted("rejected_total", reason="broken_body"), what="the request is given up")
        await until(lambda: gateway.counted("connections") == 0, what="the connection has ended")
    assert not await entries(redis, keys)


async def test_an_idle_client_that_closes_its_side_is_closed(gateway: Running) -> None:
    async with await gateway.client() as client:
        client.writer.write_eof()
        assert await client.closed()


@pytest.mark.parametrize("expect", ["100-continue", "a miracle"])
async def test_an_expectation_on_an_unknown_path_is_404(gateway: Running, expect: str) -> None:
    answer = await gateway.exchange(request("/nowhere", headers={"Expect": expect}))
    assert (answer.status, answer.headers["content-type"]) == (404, PROBLEM)


async def test_malformed_http_after_a_genuine_request_is_400(gateway: Running) -> None:
    signed = payment()
    async with await gateway.client() as client:
        await client.send(request(signed.path, signed.body, signed.headers))
        assert (await client.answer()).status == 202
        await client.send(b"nonsense\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.headers["content-type"]) == (400, PROBLEM)


async def test_malformed_http_is_logged_as_a_refusal_and_not_quoted(
    gateway: Running, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert (await gateway.exchange(b"SECRET-4242 nonsense\r\n\r\n")).status == 400
    assert "4242" not in caplog.text + "".join(capsys.readouterr())
    assert gateway.counted("rejected_total", source="-", reason="malformed_http") == 1
    assert gateway.counted("internal_errors_total") == 0


async def test_no_answer_names_the_versions_of_python_and_aiohttp(gateway: Running) -> None:
    for sent in (
        request("/healthz", method="GET"),
        request("/nowhere"),
        request("/webhook", b"{}"),
        b"nonsense\r\n\r\n",
    ):
        answer = await gateway.exchange(sent)
        assert not {"python", "aiohttp"} & set(str(answer.headers).lower().replace("/", " ").split())


async def test_a_request_cut_within_its_last_line_end_may_wait_longer_than_headers_may(
    valkey: ValkeyServer, key_prefix: str
) -> None:
    first, second = payment(1), payment(2)
    pipelined = request(first.path, first.body, first.headers) + request(second.path, second.body, second.headers)
    cut = pipelined.index(b"\r\n\r\n", len(request(first.path, first.body, first.headers))) + 3
    async with running(valkey.url, key_prefix, headers_timeout_s=0.3) as gateway, await gateway.client() as client:
        await client.send(pipelined[:cut])
        assert (await client.answer()).status == 202
        await client.send(pipelined[cut:])
        assert (await client.answer()).status == 202
        for _ in range(10):  # longer than headers_timeout_s
            await until_next_drip()
        await client.send(request(first.path, first.body, first.headers))
        assert (await client.answer()).status == 200


async def test_a_path_with_a_line_feed_is_an_unknown_path(gateway: Running) -> None:
    answer = await gateway.exchange(b"GET /a%0Ab HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.headers["content-type"]) == (404, PROBLEM)


@pytest.mark.parametrize("kind", ["just connected", "part of the headers", "kept alive"])
async def test_a_request_that_is_on_its_way_when_the_gateway_stops_is_answered(gateway: Running, kind: str) -> None:
    signed = payment(2)
    whole = request(signed.path, signed.body, signed.headers)
    async with await gateway.client() as client:
        if kind == "kept alive":
            await client.send(request("/healthz", method="GET"))
            assert (await client.answer()).status == 200
        elif kind == "part of the headers":
            await client.send(whole[:20])
            whole = whole[20:]
        await until(lambda: gateway.counted("connections") == 1, what="the connection is open")
        stopping = asyncio.create_task(gateway.gateway.stop())
        await until(stopping_has_begun(gateway), what="the gateway is being stopped")
        await client.send(whole)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (202, "close")
        assert await stopping


def stopping_has_begun(gateway: Running) -> Callable[[], Awaitable[bool]]:
    async def has_begun() -> bool:
        try:
            await gateway.get("/healthz")
        except OSError:
            return True
        return False

    return has_begun
