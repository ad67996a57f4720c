"""What strangers cost: the gateway's memory and a genuine sender's wait, while all connections are theirs.

Each attack has a gateway of its own. It goes on for some seconds: a connection that the gateway ends is made anew.
"""

import asyncio
import contextlib
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from stack.ports import HOST
from tests.benchmarks.figures import Figure
from tests.benchmarks.harness import PREFIX, Harness, Options, harness
from tests.support.events import hmac_event, signed_hmac
from tests.support.gateway import Client, request
from tests.support.tls import write_certificate
from tests.support.wait import until

RESIDENT_TARGET_MB = 250.0
CONNECTIONS = 4096
OTHER_FILES = 512
GENUINE_PAUSE_S = 0.02
SEND_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = 5.0
MB = 1024 * 1024

HEAD = b"POST /webhook HTTP/1.1\r\nHost: a\r\n"
LONG_HEADERS = HEAD + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 4000) for number in range(260))
SHORT_HEADERS = HEAD + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 4000) for number in range(7))
BODY = HEAD + b"Content-Length: 1048576\r\n\r\n" + b"x" * (MB - 1)
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (MB // 6)
WHOLE = HEAD + b"Content-Length: 16384\r\n\r\n" + b"x" * 16_384


@dataclass(frozen=True, slots=True)
class Attack:
    """What each connection sends, over and over where it is whole; nobody reads an answer."""

    name: str
    data: bytes
    connections: int = CONNECTIONS
    tls: bool = False


ATTACKS = (
    Attack("silent", b""),
    Attack("1 MB of headers", LONG_HEADERS, 1000),
    Attack("1 MB of headers", LONG_HEADERS),
    Attack("28 KB of headers", SHORT_HEADERS),
    Attack("bodies without their end", BODY, 1000),
    Attack("bodies without their end", BODY),
    Attack("chunks of one byte", CHUNKS),
    Attack("pipelined requests", WHOLE * 16),
    Attack("unread answers", request("/openapi.json", method="GET") * 4000),
    Attack("silent, TLS", b"", tls=True),
    Attack("1 MB of headers, TLS", LONG_HEADERS, tls=True),
    Attack("bodies without their end, TLS", BODY, tls=True),
)


async def run(options: Options) -> list[Figure]:
    """Run all attacks, one after the other."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = []
    async with harness() as on:
        for attack in ATTACKS:
            figures += await _figures(on, attack, options.seconds)
    return figures


async def _figures(on: Harness, attack: Attack, seconds: float) -> list[Figure]:
    env = write_certificate(on.programs.folder) if attack.tls else {}
    settings = env | {"REFUSALS_LOGGED_PER_MINUTE": "1"}
    gateway = await on.programs.gateway(on.valkey.url, PREFIX, settings, ready=not attack.tls)
    if attack.tls:
        await until(lambda: _accepts(gateway.port), what="the gateway listens")
    strangers = Strangers(gateway.port, attack)
    with strangers.attacking():
        waits_ms, failed = await _genuine(gateway.port, env, seconds)
    resident_mb = _peak_resident_bytes(gateway.pid) / MB
    gateway.stop()
    group = f"{attack.connections} x {attack.name}"
    waits_ms.sort()
    return [
        Figure(group, "resident", resident_mb, "MB", target=RESIDENT_TARGET_MB, at_most=True),
        Figure(group, "genuine, median", median(waits_ms) if waits_ms else float("inf"), "ms"),
        Figure(group, "genuine, slowest", waits_ms[-1] if waits_ms else float("inf"), "ms"),
        Figure(group, "genuine, not 2xx", 100 * failed / max(1, failed + len(waits_ms)), "%"),
    ]


async def _genuine(port: int, env: dict[str, str], seconds: float) -> tuple[list[float], int]:
    """Post signed events on connections of their own for some time; return how long each took, and how many failed."""
    trusted = None
    if env:
        trusted = ssl.create_default_context(cafile=env["GATEWAY_TLS_CERT"])
        trusted.check_hostname = False
    waits_ms, failed = [], 0
    end_s = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end_s:
        number += 1
        signed = signed_hmac(hmac_event(f"genuine_{number}"))
        start_s = time.monotonic()
        try:
            async with asyncio.timeout(20), await Client.connect(port, trusted) as client:
                await client.send(request(signed.path, signed.body, signed.headers))
                is_accepted = (await client.answer()).status in (200, 202)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            is_accepted = False
        if is_accepted:
            waits_ms.append((time.monotonic() - start_s) * 1000)
        else:
            failed += 1
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=GENUINE_PAUSE_S)
    return waits_ms, failed


class Strangers:
    """A thread that keeps connections open and sends on each what it can."""

    def __init__(self, port: int, attack: Attack) -> None:
        self._port = port
        self._attack = attack
        self._stop = threading.Event()
        self._is_complete = threading.Event()
        self._context: ssl.SSLContext | None = None
        if attack.tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE

    @contextlib.contextmanager
    def attacking(self) -> Iterator[None]:
        """Attack for the length of a block, which begins when every connection has sent something."""
        thread = threading.Thread(target=self._attack_on, daemon=True)
        thread.start()
        self._is_complete.wait()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _attack_on(self) -> None:
        sockets: list[socket.socket | None] = [None] * self._attack.connections
        sent = [0] * len(sockets)
        while not self._stop.is_set():
            for number, client in enumerate(sockets):
                if self._stop.is_set():
                    break
                if client is None:
                    sockets[number], sent[number] = self._connected(), 0
                elif not self._send(client, sent, number):
                    client.close()
                    sockets[number] = None
            self._is_complete.set()
        for client in sockets:
            if client is not None:
                client.close()

    def _connected(self) -> socket.socket | None:
        try:
            client = socket.create_connection((HOST, self._port), CONNECT_TIMEOUT_S)
            if self._context is not None:
                client = self._context.wrap_socket(client)
        except OSError:
            return None
        client.setblocking(False)
        return client

    def _send(self, client: socket.socket, sent: list[int], number: int) -> bool:
        """Send what fits; return False where the gateway has ended the connection."""
        data = self._attack.data
        try:
            if sent[number] < len(data):
                sent[number] += client.send(data[sent[number] : sent[number] + SEND_BYTES])
            elif not data and not client.recv(1):
                return False
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        return True


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def _peak_resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
