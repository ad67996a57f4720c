"""`make upgrade-postgres`: moves the embedded PostgreSQL's data to a newer major version, and keeps the data of before.

A newer PostgreSQL cannot read the files of an older one. `pg_upgrade` runs both, so the programs of the older version
have to be at hand.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from stack import show
from stack.base import Stack, StackError
from stack.embedded import Embedded
from stack.lock import Lock
from stack.postgres import SUPERUSER, Postgres, PostgresError, major_of
from stack.progress import PROGRESS
from stack.settings import Settings

UPGRADE_TIMEOUT_S = 6 * 3600
"""All data is copied."""

LOCKS = "-c max_locks_per_transaction=256"
"""There may be more tables than the locks that a server has by default: one for each month."""


def run(stack: Stack, settings: Settings, old_bin_dir: Path) -> int:
    """Upgrade the server of an embedded stack that does not run, and return 0. Raise StackError; nothing changes."""
    if not isinstance(stack, Embedded):
        raise StackError("this is for the embedded stack; docs/upgrading-postgres.md says how to do it with Compose")
    server = stack.plan().postgres
    if server is None:
        raise StackError("DATABASE_URL names a server of your own; docs/upgrading-postgres.md says how to upgrade it")
    with PROGRESS.reported(), Lock(settings.data_dir / "up.lock", settings.up_timeout_s) as lock:
        if not lock.held or stack.running():
            raise StackError("the stack runs; `make down` stops it. Nothing was done.")
        upgrade(server, old_bin_dir.expanduser().resolve())
    return 0


def upgrade(server: Postgres, old_bin_dir: Path) -> None:
    """Make a cluster of the present version with all data of the one there is. Raise PostgresError; nothing changes.

    The server must not run.
    """
    before, now = server.cluster_major, server.program_major
    if before is None:
        raise PostgresError(f"there is no PostgreSQL data in {server.data_dir}; `make up` makes it")
    if before == now:
        raise PostgresError(f"the data in {server.data_dir} is of PostgreSQL {now} already; nothing was done")
    if (found := major_of(old_bin_dir / "postgres")) != before:
        raise PostgresError(f"{old_bin_dir} has PostgreSQL {found}, and the data is of {before}; nothing was done")
    kept = server.data_dir / f"cluster-{before}"
    if kept.exists():
        raise PostgresError(f"{kept} exists, where the data of before would be kept: move it; nothing was done")
    PROGRESS.step(f"copying all data from PostgreSQL {before} to {now}")
    new = server.make_cluster("upgraded")
    try:
        _pg_upgrade(server, old_bin_dir, new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    server.cluster.rename(kept)
    new.rename(server.cluster)
    show.say(
        f"The data is of PostgreSQL {now} now. Run `make up` and `make audit`; then {kept}, the data of before, may be "
        "removed. To go back instead: `make down`, and move it to the place of `cluster`."
    )


def _pg_upgrade(server: Postgres, old_bin_dir: Path, new: Path) -> None:
    # It writes logs and sockets to the folder that it runs in; the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        drop = server.drop([old_bin_dir / "postgres"])
        if drop:
            os.chown(folder, drop.uid, drop.gid)
        argv = [
            str(server.program("pg_upgrade")), f"--username={SUPERUSER}",
            f"--old-bindir={old_bin_dir}", f"--new-bindir={server.program('postgres').parent}",
            f"--old-datadir={server.cluster}", f"--new-datadir={new}", f"--socketdir={folder}",
            f"--old-options={LOCKS}", f"--new-options={LOCKS}",
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603 -- our own program and arguments
                drop.command(argv) if drop else argv,
                cwd=folder,
                env={"PATH": os.defpath, "PGPASSWORD": server.password, "LC_ALL": "C"},
                capture_output=True,
                text=True,
                check=False,
                timeout=UPGRADE_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PostgresError(f"pg_upgrade could not be run: {error}; the data is as it was") from error
    if done.returncode != 0:
        said = re.sub(r"\n{2,}", "\n", done.stdout + done.stderr).strip()
        raise PostgresError(f"pg_upgrade failed ({done.returncode}), and the data is as it was:\n{said}")
