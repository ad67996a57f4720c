"""What strangers cost: the gateway's memory and a genuine sender's wait, while all connections are theirs.

Each attack has a gateway of its own. It goes on for some seconds: a connection that the gateway ends is made anew.
"""

import asyncio
import contextlib
import multiprocessing
import resource
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
TCP_ESTABLISHED = 1
RESET = struct.pack("ii", 1, 0)
MB = 1024 * 1024

HEAD = b"POST /webhook HTTP/1.1\r\nHost: a\r\n"
LONG_HEADERS = HEAD + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 4000) for number in range(260))
SHORT_HEADERS = HEAD + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 4000) for number in range(7))
BODY = HEAD + b"Content-Length: 1048576\r\n\r\n" + b"x" * (MB - 1)
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (MB // 6)
WHOLE = HEAD + b"Content-Length: 16384\r\n\r\n" + b"x" * 16_384


HELLO_OF_128_KB = b"\x16\x03\x01\x00\x04\x01\x01\xff\xf0"


@dataclass(frozen=True, slots=True)
class Attack:
    """What each connection sends, over and over where it is whole; nobody reads an answer."""

    name: str
    data: bytes
    connections: int = CONNECTIONS
    tls: bool = False
    """Whether the gateway terminates TLS."""
    handshake: bool = True
    """Whether strangers take part in TLS."""
    piece_bytes: int = SEND_BYTES
    pause_s: float = 0.0
    """How long each connection waits after each piece."""
    resets: bool = False
    """Whether a connection is reset once all is sent, and made anew."""
    addresses: int = 1
    """From how many addresses strangers connect."""


PLAIN = (
    Attack("silent", b""),
    Attack("1 MB of headers", LONG_HEADERS),
    Attack("28 KB of headers", SHORT_HEADERS),
    Attack("bodies without their end", BODY),
    Attack("chunks of one byte", CHUNKS),
    Attack("pipelined requests", WHOLE * 16),
    Attack("unread answers", request("/openapi.json", method="GET") * 4000),
)

ATTACKS = (
    Attack("1 MB of headers", LONG_HEADERS, 1000),
    Attack("bodies without their end", BODY, 1000),
    *PLAIN,
    Attack("one byte a second", BODY, piece_bytes=1, pause_s=1),
    Attack("reset after one byte", b"P", resets=True),
    *(replace(attack, name=f"{attack.name}, TLS", tls=True) for attack in PLAIN),
    Attack("silent handshakes, TLS", b"", tls=True, handshake=False),
    Attack("a ClientHello of 128 KB, begun, TLS", HELLO_OF_128_KB, tls=True, handshake=False),
    Attack("reset in the handshake, TLS", HELLO_OF_128_KB[:6], tls=True, handshake=False, resets=True),
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
    """A process that keeps connections open and sends on each what it can."""

    def __init__(self, port: int, attack: Attack) -> None:
        self._port = port
        self._attack = attack
        spawning = multiprocessing.get_context("spawn")
        self._stop = spawning.Event()
        self._is_complete = spawning.Event()
        self._process = spawning.Process(target=self._attack_on, daemon=True)

    @contextlib.contextmanager
    def attacking(self) -> Iterator[None]:
        """Attack for the length of a block, which begins when every connection has sent something."""
        self._process.start()
        self._is_complete.wait()
        try:
            yield
        finally:
            self._stop.set()
            self._process.join()

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_process": None}

    def _attack_on(self) -> None:
        strangers = [Stranger(self._port, self._attack, number) for number in range(self._attack.connections)]
        while not self._stop.is_set():
            for stranger in strangers:
                stranger.go_on()
                if self._stop.is_set():
                    break
            self._is_complete.set()


class Stranger:
    """One connection of an attack, made anew when it has ended."""

    tls: ssl.SSLContext | None = None

    def __init__(self, port: int, attack: Attack, number: int) -> None:
        self._address = f"127.0.1.{1 + number % attack.addresses}"
        self._port = port
        self._attack = attack
        self._client: socket.socket | None = None
        self._shakes_hands = False
        self._sent = 0
        self._next_s = 0.0
        if attack.tls and attack.handshake and Stranger.tls is None:
            Stranger.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            Stranger.tls.check_hostname = False
            Stranger.tls.verify_mode = ssl.CERT_NONE

    def go_on(self) -> None:
        """Connect, or send what fits."""
        try:
            if self._client is None:
                self._connect()
            elif time.monotonic() >= self._next_s:
                self._send(self._client)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError:
            self._end()

    def _connect(self) -> None:
        self._client = socket.create_connection((HOST, self._port), CONNECT_TIMEOUT_S, (self._address, 0))
        self._client.setblocking(False)
        self._sent = 0
        if self.tls is not None:
            self._client = self.tls.wrap_socket(self._client, do_handshake_on_connect=False)
            self._shakes_hands = True

    def _send(self, client: socket.socket) -> None:
        data = self._attack.data
        if self._shakes_hands and isinstance(client, ssl.SSLSocket):
            client.do_handshake()
            self._shakes_hands = False
        if self._sent < len(data):
            self._sent += client.send(data[self._sent : self._sent + self._attack.piece_bytes])
            self._next_s = time.monotonic() + self._attack.pause_s
        elif self._attack.resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._end()
        elif client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_ESTABLISHED:
            self._end()

    def _end(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def _peak_resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
