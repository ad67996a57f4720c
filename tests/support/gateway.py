"""A gateway inside the test's own process and event loop, and a client that sends exactly the bytes it is given."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, cast

from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from contract.keys import Keys
from gateway.metrics import Metrics
from gateway.service import Gateway, utc_now
from gateway.settings import Settings
from gateway.tls import tls_context
from providers import PROVIDERS
from providers.base import Provider
from runtime.tracing import OFF, Tracing
from stack.ports import HOST
from tests.support.events import HMAC_SECRET, STRIPE_SECRET, Signed, hmac_event, signed_hmac
from tests.support.servers import as_user
from tests.support.wait import TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it was received; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection that sends exactly the bytes it is given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection(HOST, port, ssl=tls))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, timeout_s: float = TIMEOUT_S) -> Answer:
        """Return the next response."""
        async with asyncio.timeout(timeout_s):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status_line, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(status_line.split()[1]), headers, body)

    async def closed(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Wait until the other side has ended the connection; fail where it sends anything more."""
        try:
            async with asyncio.timeout(timeout_s):
                assert await self.reader.read(1) == b""
        except ConnectionError:
            return True
        return True


def request(
    path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, method: str = "POST", raw: bytes = b""
) -> bytes:
    """Return the bytes of a request; `raw` is further header lines, unchanged."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n{lines}".encode()
    return head + raw + b"\r\n" + body


def sources(**more: Provider) -> dict[str, Provider]:
    """Return the sources `stripe` and `default`, as in tests.support.events, and more."""
    return {
        "stripe": provider("stripe", "stripe", STRIPE_SECRET),
        "default": provider("default", "hmac", HMAC_SECRET),
    } | more


def provider(source: str, name: str, *secrets: str, **settings: Any) -> Provider:
    """Return one source of a listed provider."""
    kind = PROVIDERS[name]
    return kind(kind.Source.model_validate({"source": source, "provider": name, "secrets": list(secrets), **settings}))


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that serves."""

    gateway: Gateway
    metrics: Metrics
    port: int
    trusted: ssl.SSLContext | None = None
    """With it, clients use TLS."""
    operators_url: str = ""
    """The address of the operators' port, where there is one."""

    async def client(self) -> Client:
        return await Client.connect(self.port, self.trusted)

    async def exchange(self, data: bytes) -> Answer:
        """Send one request on a connection of its own; return the answer."""
        async with await self.client() as client:
            await client.send(data)
            return await client.answer()

    async def post(self, signed: Signed, **headers: str) -> Answer:
        return await self.exchange(request(signed.path, signed.body, {**signed.headers, **headers}))

    async def get(self, path: str) -> Answer:
        return await self.exchange(request(path, method="GET"))

    def counted(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        families = text_string_to_metric_families(self.metrics.render().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"webhook_gateway_{name}" and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def running(
    redis_url: str,
    key_prefix: str,
    *,
    providers: Mapping[str, Provider] | None = None,
    clock: Callable[[], datetime] = utc_now,
    certificate: Mapping[str, str] | None = None,
    operators: socket.socket | None = None,
    tracing: Tracing = OFF,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Serve a gateway for the length of a block, over TLS with the settings of `write_certificate`.

    `operators`: a listening socket for operators, which is closed at the end.
    """
    tls = trusted = None
    if certificate is not None:
        settings |= {name.lower(): path for name, path in certificate.items()}
        trusted = ssl.create_default_context(cafile=certificate["GATEWAY_TLS_CERT"])
        trusted.check_hostname = False
    values = {"redis_url": as_user("gateway", redis_url), "key_prefix": key_prefix, **settings}
    metrics = Metrics(multiprocess=False)
    configured = Settings(_env_file=None, **values)  # type: ignore[call-arg]
    gateway = Gateway(configured, providers or sources(), metrics, clock, tracing)
    if certificate is not None:
        tls = tls_context(configured)
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        operators_url = "" if operators is None else f"http://{HOST}:{operators.getsockname()[1]}"
        await gateway.start(listening, tls, operators)
        try:
            yield Running(gateway, metrics, listening.getsockname()[1], trusted, operators_url)
        finally:
            await gateway.stop()


def payment(number: int = 1, **fields: Any) -> Signed:
    """Return a signed delivery for the source `default`."""
    return signed_hmac(hmac_event(f"tx_{number}", **fields))


async def entries(redis: Redis, keys: Keys) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of the stream."""
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(keys.events))
