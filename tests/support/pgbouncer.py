"""A real PgBouncer in front of a test's PostgreSQL: Debian's package `pgbouncer`."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stack.ports import HOST, free_port
from tests.support.child import Child, dying_with_parent
from tests.support.wait import until, until_sync

PGBOUNCER = "pgbouncer"

START_S = 30.0
PROBE_S = 1.0

NOBODY = "65534"
"""PgBouncer refuses to run as root."""

CONFIG = """
[databases]
* = host={host} port={port} user={user} password={password}

[pgbouncer]
listen_addr = {listen}
listen_port = {pooler_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {servers}
ignore_startup_parameters = {ignored}
"""


class PgBouncer:
    """One with this many connections to the database: it can be killed, frozen and started again on the same port."""

    def __init__(self, folder: Path, database_url: str, mode: str, *, ignored: str = "", servers: int = 2) -> None:
        url, self.port = urlsplit(database_url), free_port()
        folder.chmod(0o755)
        self._config = folder / "pgbouncer.ini"
        self._config.write_text(CONFIG.format(
            host=url.hostname, port=url.port, user=url.username, password=url.password, listen=HOST,
            pooler_port=self.port, mode=mode, servers=servers, ignored=ignored,
        ))  # fmt: skip
        self._config.chmod(0o644)
        self.child = Child(PGBOUNCER, folder / "pgbouncer.log")
        self._server = f"{url.hostname}:{url.port}"

    def url(self, database_url: str) -> str:
        """The same url, through it."""
        return database_url.replace(self._server, f"{HOST}:{self.port}")

    def start(self) -> None:
        """Starts it and blocks until it serves."""
        self.child.launch(_command(self._config))
        until_sync(self._answers, timeout_s=START_S, what="PgBouncer serves")

    async def restart(self) -> None:
        """Starts it again after it was killed; waits until it serves."""
        self.child.launch(_command(self._config))
        await until(self._answers, timeout_s=START_S, what="PgBouncer serves")

    def _answers(self) -> bool:
        assert self.child.is_running, f"PgBouncer ended while it started:\n{self.child.log}"
        try:
            with socket.create_connection((HOST, self.port), PROBE_S):
                return True
        except OSError:
            return False


@contextmanager
def pooling(database_url: str, mode: str, *, ignored: str = "", servers: int = 2) -> Iterator[str]:
    """Run a PgBouncer with this many connections to the database; give the address that leads through it."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        pooler = PgBouncer(Path(name), database_url, mode, ignored=ignored, servers=servers)
        try:
            pooler.start()
            yield pooler.url(database_url)
        finally:
            pooler.child.kill()
            print(pooler.child.log)


def _command(config: Path) -> list[str]:
    command = [PGBOUNCER, str(config)]
    if os.geteuid() != 0:
        return dying_with_parent(command)
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=KILL"]
    return [*drop, *command]
