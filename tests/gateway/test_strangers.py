"""What strangers may keep: connections and memory, each and in sum. Genuine senders are served meanwhile."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from tests.support.gateway import Client, Running, payment, request, running
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.wait import until

KIB = 1024
MIB = 1024 * KIB
STRANGERS = 40


async def strangers(stack: AsyncExitStack, gateway: Running, count: int, data: bytes = b"") -> list[Client]:
    """Open connections that send no more than this."""
    clients = [await stack.enter_async_context(await gateway.client()) for _ in range(count)]
    for client in clients:
        client.writer.write(data)
    return clients


async def test_too_many_requests_under_way_are_answered_503(private_valkey: ValkeyServer, key_prefix: str) -> None:
    async with (
        TcpProxy(private_valkey.port) as proxy,
        AsyncExitStack() as stack,
        running(
            proxy.url(private_valkey.url), key_prefix, durability_check_s=300, connections_max=3, retry_after_s=4
        ) as gateway,
    ):
        proxy.stall()
        signed = payment()
        await strangers(stack, gateway, 3, request(signed.path, signed.body, signed.headers))
        await until(lambda: gateway.counted("verified_total") == 3, what="three requests are under way")
        async with await gateway.client() as one_more:
            answer = await one_more.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "4")
            assert json.loads(answer.body)["status"] == 503
            assert await one_more.closed()
        proxy.resume()


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"P", b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"one answered"],
    ids=["silent", "a blank line", "a byte", "headers without their body", "one answered"],
)
async def test_where_all_connections_are_taken_the_one_that_waits_longest_gives_way(
    valkey: ValkeyServer, key_prefix: str, begun: bytes
) -> None:
    async with AsyncExitStack() as stack, running(valkey.url, key_prefix, connections_max=10) as gateway:
        page = request("/healthz", method="GET")
        clients = await strangers(stack, gateway, 10, page if begun == b"one answered" else begun)
        await until(lambda: gateway.counted("connections") == 10, what="all connections are open")
        if begun == b"one answered":
            assert {(await client.answer()).status for client in clients} == {200}
        for number in range(5):
            assert (await gateway.post(payment(number))).status == 202
        assert gateway.counted("connections") <= 10
        ended = await asyncio.wait_for(clients[0].reader.read(), 10)
        assert not ended or ended.startswith(b"HTTP/1.1 503 ")
        assert clients[-1].writer.transport.get_extra_info("socket").fileno() > 0
        assert not clients[-1].reader.at_eof()


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
async def test_unfinished_bodies_have_a_budget_in_sum(valkey: ValkeyServer, key_prefix: str, framing: bytes) -> None:
    head = b"POST /webhook HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing
    body = b"x" * 300 * KIB if b"Length" in framing else (b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 5
    async with (
        AsyncExitStack() as stack,
        running(valkey.url, key_prefix, unverified_bytes_max=2 * MIB, body_bytes_max=MIB) as gateway,
    ):
        clients = await strangers(stack, gateway, STRANGERS, head + body)
        await until(
            lambda: gateway.counted("rejected_total", reason="unverified_bytes_max") >= STRANGERS // 2,
            what="unfinished requests give way",
        )
        assert gateway.counted("unverified_bytes") <= 2 * MIB
        large = payment(1, note="x" * 200 * KIB)
        for signed in (payment(2), large):
            answer = await gateway.post(signed)
            assert answer.status == 202, answer.body
        reading = [asyncio.create_task(client.answer()) for client in clients]
        done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        answer = await done.pop()
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        for each in reading:
            each.cancel()
