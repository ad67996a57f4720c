"""`make psql`: a terminal on the database of the stack."""

import subprocess
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from stack import show

POSTGRES_PORT = 5432

NOT_CONNECTED = 2
"""The exit code of psql whose connection failed or was lost."""


def run(environment: Mapping[str, str], program: str | None) -> int:
    """Open psql on the database, or print how to. Return its exit code."""
    if program is None:
        show.say(
            "psql is not installed here (Debian and Ubuntu: apt-get install postgresql-client). Any client can connect "
            "with DATABASE_URL, or as the owner of the tables with MIGRATE_DATABASE_URL, of stack.env in DATA_DIR."
        )
        return 1
    # By the environment, because anyone can read a command line.
    code = subprocess.run([program], env={**environment, **_libpq(environment["DATABASE_URL"])}, check=False).returncode  # noqa: S603
    if code == NOT_CONNECTED:
        show.complain("`make status` shows what runs, and `make up` starts what does not.")
    return code


def _libpq(url: str) -> dict[str, str]:
    address = urlsplit(url)
    found = {
        "PGHOST": address.hostname or "",
        "PGPORT": str(address.port or POSTGRES_PORT),
        "PGUSER": unquote(address.username or ""),
        "PGPASSWORD": unquote(address.password or ""),
        "PGDATABASE": unquote(address.path.lstrip("/")),
        "PGSSLMODE": parse_qs(address.query).get("sslmode", ["prefer"])[0],
    }
    return {name: value for name, value in found.items() if value}
