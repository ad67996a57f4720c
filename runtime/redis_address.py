"""What `REDIS_URL` says: which servers to ask where Redis lives, and how to connect there."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr
from redis.asyncio.connection import parse_url

from runtime.addresses import Server

SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
CLUSTER_SCHEMES = ("redis+cluster://", "rediss+cluster://")
SCHEMES = ("redis://", "rediss://", "unix://", *SENTINEL_SCHEMES, *CLUSTER_SCHEMES)

SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
TLS_OPTIONS = (
    "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers",
    "ssl_keyfile", "ssl_password",
)  # fmt: skip
OPTIONS = (
    "client_name", "db", "decode_responses", "encoding", "health_check_interval", "max_connections", "password",
    "protocol", "retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_timeout", "username",
)  # fmt: skip
"""What may follow the question mark, as redis-py names it. Of OPTIONS, those that are ours to choose are ignored."""

PORT_DEFAULT, SENTINEL_PORT_DEFAULT = 6379, 26_379

NOWHERE = "0.0.0.0"  # noqa: S104 - nothing binds to it
"""Stands for the server that is found before each connect."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address, read. The URLs are of one server each, as redis-py reads them."""

    kind: Literal["server", "sentinel", "cluster"]
    servers: tuple[Server, ...]
    """Whom to ask: the sentinels, nodes of the cluster, or the one server. Empty for a Unix socket."""
    master_name: str
    """The name that the sentinels know the master by; else empty."""
    url: SecretStr
    asked_url: SecretStr
    """How to connect to one that is asked."""


def show_servers(servers: tuple[Server, ...]) -> str:
    """Return servers as a sentence names them."""
    return ", ".join(f"{host}:{port}" for host, port in servers)


def list_unknown_options(url: SecretStr) -> list[str]:
    """Return the names of those options of an address that no connection of its kind has."""
    text = url.get_secret_value()
    known = {
        *OPTIONS,
        *(TLS_OPTIONS if text.startswith("rediss") else ()),
        *(SENTINEL_OPTIONS if text.startswith(SENTINEL_SCHEMES) else ()),
    }
    return sorted({name for name, _ in parse_qsl(urlsplit(text).query, keep_blank_values=True)} - known)


def check_values(url: SecretStr) -> None:
    """Raise ValueError where redis-py cannot read the value of an option. Its texts name the option, not the value."""
    try:
        parse_url(read_address(url).url.get_secret_value())
    except (ValueError, TypeError) as error:
        problem = str(error).removesuffix(" in connection URL.")
        raise ValueError(f"it has an option whose value cannot be used: {problem}") from None


def read_address(url: SecretStr) -> RedisAddress:
    """Read an address that the settings have checked.

    `redis+sentinel://[user:password@]host:port,host:port/master-name[/db][?sentinel_username=…&sentinel_password=…]`:
    user and password are those of the data servers; other options are redis-py's, for every connection.
    """
    parts = urlsplit(url.get_secret_value())
    if url.get_secret_value().startswith(CLUSTER_SCHEMES):
        return _read_cluster(parts)
    if not url.get_secret_value().startswith(SENTINEL_SCHEMES):
        servers = () if parts.scheme == "unix" else ((parts.hostname or "localhost", parts.port or PORT_DEFAULT),)
        return RedisAddress("server", servers, "", url, SecretStr(""))
    user, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    asked_user, asked_password = (quote(query.pop(f"sentinel_{key}", ""), safe="") for key in ("username", "password"))
    scheme, options = parts.scheme.removesuffix("+sentinel"), urlencode(query)
    return RedisAddress(
        "sentinel",
        tuple(_server(host, SENTINEL_PORT_DEFAULT) for host in hosts.split(",")),
        unquote(name),
        SecretStr(f"{scheme}://{user}@{NOWHERE}/{database or 0}?{options}"),
        SecretStr(f"{scheme}://{asked_user}:{asked_password}@{NOWHERE}/?{options}"),
    )


def _read_cluster(parts: SplitResult) -> RedisAddress:
    """Read `redis+cluster://[user:password@]host:port,host:port[?…]`: some of the nodes, which know the others."""
    user, _, hosts = parts.netloc.rpartition("@")
    url = SecretStr(f"{parts.scheme.removesuffix('+cluster')}://{user}@{NOWHERE}/0?{parts.query}")
    return RedisAddress("cluster", tuple(_server(host, PORT_DEFAULT) for host in hosts.split(",")), "", url, url)


def _server(text: str, port_default: int) -> Server:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or port_default
