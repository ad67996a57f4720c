"""What strangers may keep: connections and memory, each and in sum. Genuine senders are served meanwhile."""

import asyncio
import gc
import json
import socket
import ssl
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from gateway.framing import FramingError
from gateway.request_reader import RequestReader
from gateway.settings import Settings
from gateway.tls_transport import COUNTS_AS
from stack.ports import HOST
from tests.support.gateway import Client, Running, payment, request, running
from tests.support.processes import Programs
from tests.support.proxy import TcpProxy
from tests.support.servers import ValkeyServer
from tests.support.tls import write_certificate
from tests.support.wait import until

KIB = 1024
MIB = 1024 * KIB
STRANGERS = 40
TLS_STRANGERS = 200


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
    async with running(valkey.url, key_prefix, connections_max=10) as gateway, AsyncExitStack() as stack:
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
        running(valkey.url, key_prefix, unverified_bytes_max=2 * MIB, body_bytes_max=MIB) as gateway,
        AsyncExitStack() as stack,
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


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_client_that_has_just_connected_is_not_the_one_that_gives_way(
    valkey: ValkeyServer, key_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, tls: bool
) -> None:
    monkeypatch.setattr("gateway.connections.YOUNG_S", 0.2)
    certificate = write_certificate(tmp_path) if tls else None
    async with (
        running(valkey.url, key_prefix, certificate=certificate, connections_max=20) as gateway,
        AsyncExitStack() as stack,
    ):
        room = 20 // COUNTS_AS if tls else 20
        await strangers(stack, gateway, room, b"POST /webhook HTTP/1.1\r\nX-Unfinished: ")
        await until(lambda: gateway.counted("connections") == room, what="all connections are open")
        old_s = asyncio.get_running_loop().time() + 0.3
        await until(lambda: asyncio.get_running_loop().time() > old_s, what="strangers are no longer young")
        genuine = await stack.enter_async_context(await gateway.client())
        await strangers(stack, gateway, room // 2, b"P")
        signed = payment()
        await genuine.send(request(signed.path, signed.body, signed.headers))
        assert (await genuine.answer()).status == 202
        assert gateway.counted("connections") <= room


async def test_a_client_over_tls_takes_little_memory(valkey: ValkeyServer, key_prefix: str, programs: Programs) -> None:
    certificate = write_certificate(programs.folder)
    env = certificate | {"UNVERIFIED_BYTES_MAX": str(2 * MIB), "CONNECTIONS_MAX": str(2 * COUNTS_AS * TLS_STRANGERS)}
    gateway = await programs.gateway(valkey.url, key_prefix, env, ready=False)
    trusted = ssl.create_default_context(cafile=certificate["GATEWAY_TLS_CERT"])
    trusted.check_hostname = False

    async def is_answering() -> bool:
        assert gateway.is_running, gateway.log
        try:
            async with await Client.connect(gateway.port, trusted) as client:
                await client.send(request("/readyz", method="GET"))
                return (await client.answer()).status == 200
        except ConnectionRefusedError:
            return False

    await until(is_answering, what="/readyz says 200")
    before_bytes = resident_bytes(gateway.pid)
    data = b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 400 * KIB
    async with AsyncExitStack() as stack:
        for _ in range(TLS_STRANGERS):
            client = await stack.enter_async_context(await Client.connect(gateway.port, trusted))
            client.writer.write(data)
        await until(is_answering, what="the gateway answers others")
        assert resident_bytes(gateway.pid) - before_bytes < TLS_STRANGERS * 100 * KIB


async def test_a_client_over_tls_that_is_gone_leaves_nothing_until_cycles_are_collected(
    valkey: ValkeyServer, key_prefix: str, tmp_path: Path
) -> None:
    async with running(valkey.url, key_prefix, certificate=write_certificate(tmp_path)) as gateway:

        def shake_hands_and_go() -> None:
            assert gateway.trusted
            plain = socket.create_connection((HOST, gateway.port), 10)
            gateway.trusted.wrap_socket(plain).close()

        gc.disable()
        try:
            for _ in range(5):
                await asyncio.to_thread(shake_hands_and_go)
            await until(lambda: gateway.counted("connections") == 0, what="all connections are closed")
            assert [each for each in gc.get_objects() if isinstance(each, ssl.SSLObject)] == []
        finally:
            gc.enable()


def resident_bytes(pid: int) -> int:
    """The most memory that a process has had in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * KIB


@pytest.mark.parametrize(
    "begun",
    [b"\x16\x03\x01\x00\x04\x01\x01\xff\xf0", b"\x16\x03\x01\x00\x01\x01", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["a ClientHello of 128 KB", "a ClientHello in several records", "no TLS"],
)
async def test_a_handshake_that_no_client_sends_is_ended_at_once(
    valkey: ValkeyServer, key_prefix: str, tmp_path: Path, begun: bytes
) -> None:
    async with running(valkey.url, key_prefix, certificate=write_certificate(tmp_path)) as gateway:
        async with await Client.connect(gateway.port) as client:
            await client.send(begun)
            await asyncio.wait_for(client.reader.read(), 5)
        await until(lambda: gateway.counted("rejected_total", reason="tls_handshake") == 1, what="it is counted")
        assert (await gateway.post(payment())).status == 202


async def test_a_client_that_ends_its_side_gets_its_answer_over_tls(
    valkey: ValkeyServer, key_prefix: str, tmp_path: Path
) -> None:
    async with running(valkey.url, key_prefix, certificate=write_certificate(tmp_path)) as gateway:
        signed = payment()
        data = request(signed.path, signed.body, signed.headers)

        def exchange() -> bytes:
            assert gateway.trusted
            plain = socket.create_connection((HOST, gateway.port), 10)
            with gateway.trusted.wrap_socket(plain) as client:
                client.sendall(data)
                socket.socket.shutdown(client, socket.SHUT_WR)
                return client.recv(100)

        assert (await asyncio.to_thread(exchange)).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding", b"Expect", b"Host"])
@pytest.mark.parametrize("filler", [b" ", b"\t", b":", b"a"])
def test_long_headers_are_read_in_a_time_that_follows_their_length(name: bytes, filler: bytes) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    line = name + b": a" + filler * 7 * KIB + b"b\r\n"
    reader = RequestReader(settings, MIB)
    before_s = time.process_time()
    reader.add(b"POST /webhook HTTP/1.1\r\n" + line * 4 + b"\r\n")
    with suppress(FramingError):
        reader.next()
    assert time.process_time() - before_s < 0.1
