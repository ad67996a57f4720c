"""One GET over https, limited in time and size.

Apart from its only caller, because nothing else in providers needs aiohttp: commands and checks start without it.
"""

import socket
import ssl

from aiohttp import AddrInfoType, ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from providers.base import UnavailableError

RECEIVED_BYTES_MAX = 8192
"""What the kernel takes in from a server before the event loop has parsed it; Linux doubles it."""


async def get(url: str, tls: ssl.SSLContext, timeout_s: float, bytes_max: int) -> bytes:
    """Return the document at an address, without following a redirect. Raise UnavailableError."""
    try:
        return await _get(url, tls, timeout_s, bytes_max)
    except (ClientError, OSError, TimeoutError) as error:
        raise UnavailableError(f"{url} could not be fetched ({type(error).__name__})") from error


async def _get(url: str, tls: ssl.SSLContext, timeout_s: float, bytes_max: int) -> bytes:
    async with (
        ClientSession(
            connector=TCPConnector(ssl=tls, limit=1, force_close=True, socket_factory=_slow_socket),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=timeout_s),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        ) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise UnavailableError(f"{url} answered {response.status}")
        document = bytearray()
        async for chunk in response.content.iter_any():
            document += chunk
            if len(document) > bytes_max:
                raise UnavailableError(f"{url} has more than {bytes_max} bytes")
        return bytes(document)


def _slow_socket(address: AddrInfoType) -> socket.socket:
    """Return a socket that takes in little at a time: its bytes are parsed at once, and a small chunk takes 1 µs."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES_MAX)
    return made
