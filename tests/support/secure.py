"""Redis and PostgreSQL with TLS: Debian's, because the wheels' have none."""

import os
import shutil
import socket
import ssl
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis
from typing_extensions import override

from sql.connect import connect
from stack.ports import HOST
from tests.support.certificates import Authority, Pem
from tests.support.servers import PROBE_TIMEOUT_S, PostgresServer, ValkeyServer

REDIS_SERVER = Path("/usr/bin/redis-server")
POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
LOCALHOST = "localhost"
CONNECT_TIMEOUT_S = 10.0


class SecureValkey(ValkeyServer):
    """One that speaks TLS only, with a certificate that can be changed while it runs."""

    def __init__(self, folder: Path, authority: Authority, certificate: Pem, *, wants_ours: bool = False) -> None:
        super().__init__(folder)
        self.options |= {
            "port": "0", "tls-port": str(self.port), "tls-ca-cert-file": str(authority.file),
            "tls-cert-file": str(certificate.certificate), "tls-key-file": str(certificate.key),
            "tls-auth-clients": "yes" if wants_ours else "no",
        }  # fmt: skip
        self._valkey = replace(self._valkey, binary=REDIS_SERVER)
        self.plain_url = self.url
        self.url = secure(self.url, authority.file)
        self._authority = authority
        self._own = certificate

    @override
    def answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._authority.file))
        context.load_cert_chain(self._own.certificate, self._own.key)
        with (
            socket.create_connection((HOST, self.port), PROBE_TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=LOCALHOST) as wrapped,
        ):
            wrapped.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            lines = wrapped.makefile("rb")
            return lines.readline() == b"+OK\r\n" and lines.readline() == b"+PONG\r\n"

    async def present(self, certificate: Pem, redis: Redis) -> None:
        """Have another certificate for new connections, and end all but this client's."""
        await redis.config_set("tls-cert-file", str(certificate.certificate), "tls-key-file", str(certificate.key))
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]


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
