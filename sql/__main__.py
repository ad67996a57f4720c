"""`python -m sql migrate|status|audit`: the schema and the invariants of the database at DATABASE_URL.

Exit codes: 0 done; 1 a migration failed, a migration is missing, or the audit found rows that must not exist;
2 wrong usage or settings; 3 the database cannot be reached.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

import asyncpg
from rich.console import Console

from runtime import logs
from runtime.command_line import fail, make_parser
from runtime.leaving import end_at_once_on_signals
from runtime.settings import SETTINGS_EXIT_CODE, SettingsError, load_settings
from sql.audit import INVARIANTS, audit
from sql.connect import UnreachableError, connect
from sql.migrate import MigrationError, migrate, status
from sql.report import findings_json, migrations_json, print_findings, print_migrations
from sql.roles import RoleError, grant_rights
from sql.settings import Settings

EXIT_BROKEN = 1
EXIT_UNREACHABLE = 3


NEEDS_SESSION = (
    "Migrations hold a lock of their session, which a pooler gives to others: set MIGRATE_DATABASE_URL, and let it lead"
    " to PostgreSQL itself."
)


def main(argv: list[str]) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings(Settings)
    except SettingsError as error:
        return fail(f"{error}", SETTINGS_EXIT_CODE)
    logs.configure("ERROR")
    end_at_once_on_signals()  # an open migration is rolled back, or done again from its beginning
    try:
        return asyncio.run(_COMMANDS[arguments.command](settings, arguments.json))
    except UnreachableError as error:
        return fail(f"{error}. Nothing was changed.", EXIT_UNREACHABLE)
    except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
        return fail(f"The connection to PostgreSQL was lost: {error or type(error).__name__}.", EXIT_UNREACHABLE)
    except asyncpg.UndefinedTableError as error:
        return fail(f"The schema is not there ({error}): run `python -m sql migrate` first.", SETTINGS_EXIT_CODE)


async def _migrate(settings: Settings, as_json: bool) -> int:
    workers_url, timeout_s = settings.database_url.get_secret_value(), settings.database_connect_timeout_s
    if settings.database_pooler != "none" and settings.migrate_database_url is None:
        return fail(NEEDS_SESSION, SETTINGS_EXIT_CODE)
    owner = settings.migrate_database_url or settings.database_url
    async with connect(owner.get_secret_value(), timeout_s=timeout_s, wait_s=settings.migrate_wait_s) as connection:
        try:
            applied = await migrate(connection, lock_wait_s=settings.migrate_lock_wait_s)
            role = await grant_rights(connection, workers_url)
        except RoleError as error:
            return fail(f"The schema is current, but {error}.", EXIT_BROKEN)
        except MigrationError as error:
            return fail(f"{error}. The migrations before it stay applied; the next attempt begins anew.", EXIT_BROKEN)
        except TimeoutError:
            return fail("Another `migrate` did not end within MIGRATE_LOCK_WAIT_S. Nothing was changed.", EXIT_BROKEN)
    if as_json:
        _print_json({"applied": applied, "workers_role": role})
    else:
        granted = f" The role {role} has the workers' rights." if role else ""
        _console().print((f"Applied {', '.join(applied)}." if applied else "The schema is current.") + granted)
    return 0


async def _status(settings: Settings, as_json: bool) -> int:
    url, timeout_s = settings.database_url.get_secret_value(), settings.database_connect_timeout_s
    async with connect(url, timeout_s=timeout_s, pooler=settings.database_pooler) as connection:
        migrations = await status(connection)
    if as_json:
        _print_json(migrations_json(migrations))
    else:
        print_migrations(_console(), migrations)
    return 0 if all(migration.applied_at for migration in migrations) else EXIT_BROKEN


async def _audit(settings: Settings, as_json: bool) -> int:
    url, timeout_s = settings.database_url.get_secret_value(), settings.database_connect_timeout_s
    async with connect(url, timeout_s=timeout_s, pooler=settings.database_pooler) as connection:
        findings = await audit(connection, timeout_s=settings.audit_timeout_s)
    if as_json:
        _print_json(findings_json(findings, len(INVARIANTS)))
    else:
        print_findings(_console(), findings, len(INVARIANTS))
    return EXIT_BROKEN if findings else 0


_COMMANDS = {"migrate": _migrate, "status": _status, "audit": _audit}
_HELP = {
    "migrate": "apply the missing migrations; waits for a database that is starting",
    "status": "list the migrations; exit 1 if one is missing",
    "audit": "list the rows that must not exist; exit 1 if there are any",
}


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("sql", __doc__ or "")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in _HELP.items():
        commands.add_parser(name, help=text).add_argument("--json", action="store_true", help="for scripts")
    return parser


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def _console() -> Console:
    return Console(soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
