"""A streaming replica of a test's PostgreSQL."""

import shutil
import subprocess
from pathlib import Path

from stack.postgres import embedded_bin_dir
from tests.support.servers import POSTGRES_BIN, PostgresServer


def base_backup(primary: PostgresServer, folder: Path, *, port: int | None = None) -> PostgresServer:
    """Another server that is to follow this one, not yet started. `port`: where it reaches it, such as a wire's."""
    replica = PostgresServer(folder, password=primary.server.password)
    cluster = replica.data_dir / "cluster"
    cluster.parent.mkdir(parents=True)
    program = (Path(POSTGRES_BIN) if POSTGRES_BIN else embedded_bin_dir()) / "pg_basebackup"
    url = primary.database_url("postgres")
    subprocess.run(
        [program.resolve(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--pgdata", cluster,
         "--dbname", url.replace(f":{primary.port}/", f":{port}/") if port else url],
        check=True,
    )  # fmt: skip
    owner = primary.data_dir.stat()
    for path in (cluster.parent, cluster, *cluster.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    return replica
