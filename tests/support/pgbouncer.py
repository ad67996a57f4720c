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
from tests.support.wait import until_sync

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


@contextmanager
def pooling(database_url: str, mode: str, *, ignored: str = "", servers: int = 2) -> Iterator[str]:
    """Run a PgBouncer with this many connections to the database; give the address that leads through it."""
    url, pooler_port = urlsplit(database_url), free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        config = folder / "pgbouncer.ini"
        config.write_text(CONFIG.format(
            host=url.hostname, port=url.port, user=url.username, password=url.password, listen=HOST,
            pooler_port=pooler_port, mode=mode, servers=servers, ignored=ignored,
        ))  # fmt: skip
        process = Child(PGBOUNCER, folder / "pgbouncer.log")
        process.launch(_command(config))

        def answers() -> bool:
            assert process.is_running, f"PgBouncer ended while it started:\n{process.log}"
            try:
                with socket.create_connection((HOST, pooler_port), PROBE_S):
                    return True
            except OSError:
                return False

        try:
            until_sync(answers, timeout_s=START_S, what="PgBouncer serves")
            yield database_url.replace(f"{url.hostname}:{url.port}", f"{HOST}:{pooler_port}")
        finally:
            process.kill()
            print(process.log)


def _command(config: Path) -> list[str]:
    command = [PGBOUNCER, str(config)]
    if os.geteuid() != 0:
        return dying_with_parent(command)
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=KILL"]
    return [*drop, *command]
