"""Redis and PostgreSQL with TLS: Debian's, because the wheels' have none."""

import os
import secrets
import shutil
import socket
import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis
from typing_extensions import override

from sql.connect import connect
from stack.ports import HOST, free_port
from tests.support.certificates import Authority, Pem
from tests.support.redis_cluster import MASTERS, ask, bus_port, nodes_of, slots_of
from tests.support.sentinels import MASTER, SentinelServer
from tests.support.servers import PROBE_TIMEOUT_S, PostgresServer, ValkeyServer
from tests.support.wait import until

REDIS_SERVER = Path("/usr/bin/redis-server")
POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
LOCALHOST = "localhost"
CONNECT_TIMEOUT_S = 10.0


class SecureValkey(ValkeyServer):
    """One that speaks TLS only, with a certificate that can be changed while it runs."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        certificate: Pem,
        options: Mapping[str, str] | None = None,
        *,
        wants_ours: bool = False,
        password: str | None = None,
    ) -> None:
        super().__init__(folder, options, password=password)
        self.options |= _tls_only(self.port, authority, certificate)
        self.options |= {"tls-auth-clients": "yes" if wants_ours else "no"}
        self._valkey = replace(self._valkey, binary=REDIS_SERVER)
        self.plain_url = self.url
        self.url = secure(self.url, authority.file)
        self._authority = authority
        self._own = certificate

    @override
    def answers(self) -> bool:
        return _answers_over_tls(self.port, self.password, self._authority, self._own)

    async def present(self, certificate: Pem, redis: Redis) -> None:
        """Have another certificate for new connections, and end all but this client's."""
        await redis.config_set("tls-cert-file", str(certificate.certificate), "tls-key-file", str(certificate.key))
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]


class SecureSentinel(SentinelServer):
    """One that speaks TLS only, to its master too, and names it by its name."""

    def __init__(self, folder: Path, master: SecureValkey, authority: Authority, certificate: Pem) -> None:
        super().__init__(folder, master, secrets.token_hex(8))
        self.binary = REDIS_SERVER
        self.where = LOCALHOST
        self.options = _tls_only(self.port, authority, certificate) | {
            "tls-auth-clients": "no",
            "tls-replication": "yes",
            "sentinel resolve-hostnames": "yes",
            "sentinel announce-hostnames": "yes",
        }
        where = f"{LOCALHOST}:{self.port}/{MASTER}/0?sentinel_password={self.password}"
        self.url = f"rediss+sentinel://:{master.password}@{where}&ssl_ca_certs={authority.file}"
        self._authority = authority
        self._own = certificate

    @override
    def answers(self) -> bool:
        return _answers_over_tls(self.port, self.password, self._authority, self._own)


class SecureCluster:
    """Three masters that speak TLS only, also among themselves, and announce the name of their certificate."""

    def __init__(self, folder: Path, authority: Authority, certificate: Pem) -> None:
        password = secrets.token_hex(8)
        self.servers = [
            SecureValkey(folder / f"node-{number}", authority, certificate, _of_a_node(), password=password)
            for number in range(MASTERS)
        ]
        where = ",".join(f"{LOCALHOST}:{server.port}" for server in self.servers)
        self.url = f"rediss+cluster://:{password}@{where}?ssl_ca_certs={authority.file}"

    async def start(self) -> None:
        """Start the nodes, share the slots among them, and wait until all of them know it."""
        for number, server in enumerate(self.servers):
            server.start()
            await ask(server, "CLUSTER", "ADDSLOTSRANGE", *map(str, slots_of(number)))
            await ask(server, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        first, *others = self.servers
        for server in others:
            await ask(server, "CLUSTER", "MEET", HOST, str(first.port), str(bus_port(first)))
        await until(self._is_whole, what="all nodes know each other by name")

    async def _is_whole(self) -> bool:
        for server in self.servers:
            nodes = await nodes_of(server)
            if sum("connected" in line.split() and LOCALHOST in line for line in nodes) < MASTERS:
                return False
            if b"cluster_state:ok" not in await ask(server, "CLUSTER", "INFO"):
                return False
        return True

    def kill(self) -> None:
        """End all nodes."""
        for server in self.servers:
            server.kill()


def _of_a_node() -> dict[str, str]:
    return {
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "cluster-announce-hostname": LOCALHOST,
        "tls-cluster": "yes",
        "tls-replication": "yes",
    }


def _tls_only(port: int, authority: Authority, certificate: Pem) -> dict[str, str]:
    return {
        "port": "0", "tls-port": str(port), "tls-ca-cert-file": str(authority.file),
        "tls-cert-file": str(certificate.certificate), "tls-key-file": str(certificate.key),
    }  # fmt: skip


def _answers_over_tls(port: int, password: str, authority: Authority, own: Pem) -> bool:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.load_cert_chain(own.certificate, own.key)
    with (
        socket.create_connection((HOST, port), PROBE_TIMEOUT_S) as connection,
        context.wrap_socket(connection, server_hostname=LOCALHOST) as wrapped,
    ):
        wrapped.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        lines = wrapped.makefile("rb")
        return lines.readline() == b"+OK\r\n" and lines.readline() == b"+PONG\r\n"


class SecurePostgres(PostgresServer):
    """One with TLS, and a certificate that can be changed while it runs. `url` verifies all of it."""

    def __init__(self, folder: Path, authority: Authority, certificate: Pem) -> None:
        super().__init__(folder, {"ssl": "on", "ssl_ca_file": "root.crt"})
        self.server = replace(self.server, bin_dir=max(POSTGRES_FOLDERS.glob("*/bin")))
        self._authority = authority
        self._own = certificate
        self.plain_url = self.url
        self.url = verified(self.url, authority.file)

    @override
    def argv(self) -> list[str]:
        argv = super().argv()
        self._copy(self._authority.file, "root.crt")
        self._take(self._own)
        return argv

    async def require_certificates(self) -> None:
        """Let nobody in from now on who has no certificate by the authority."""
        file = self.data_dir / "cluster" / "pg_hba.conf"
        file.write_text("hostssl all all all scram-sha-256 clientcert=verify-ca\n")
        await self.present(self._own)

    async def present(self, certificate: Pem) -> None:
        """Have another certificate for new connections, and end all others."""
        self._take(certificate)
        async with connect(self.plain_url, timeout_s=CONNECT_TIMEOUT_S) as owner:
            await owner.execute("SELECT pg_reload_conf()")
            await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                                "AND backend_type = 'client backend'")  # fmt: skip

    def _take(self, certificate: Pem) -> None:
        self._copy(certificate.certificate, "server.crt")
        self._copy(certificate.key, "server.key")

    def _copy(self, source: Path, name: str) -> None:
        """Put a file into the cluster, for the server's user alone."""
        cluster = self.data_dir / "cluster"
        new = cluster / f"{name}.new"
        shutil.copyfile(source, new)
        new.chmod(0o600)
        owner = cluster.stat()
        os.chown(new, owner.st_uid, owner.st_gid)
        new.rename(cluster / name)


def secure(redis_url: str, authority: Path) -> str:
    """The address with TLS, of a server whose certificate is by this authority."""
    return redis_url.replace("redis://", "rediss://").replace(HOST, LOCALHOST) + f"?ssl_ca_certs={authority}"


def verified(database_url: str, authority: Path) -> str:
    """The address with TLS, of a server whose certificate is for its name and by this authority."""
    address = database_url.replace(HOST, LOCALHOST)
    return address.replace("sslmode=disable", f"sslmode=verify-full&sslrootcert={authority}")
