"""What each container is given of `.env`: secrets as files of a folder of its own, everything else as variables.

Files, because `docker inspect` shows variables to everybody who may ask the engine.
"""

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from runtime.env_file import read_env_file
from runtime.redis_rights import GATEWAY, WORKERS, rules
from runtime.setting_names import SECRET_SETTINGS
from runtime.settings import names_in_sources_file, read_env_files
from stack import dotenv_file
from stack.access import read_access
from stack.base import StackError
from stack.postgres import DATABASE, SUPERUSER, WORKERS_ROLE
from stack.programs import OF_CONSOLE
from stack.settings import Settings
from stack.state import settings_digest
from stack.valkey import configuration

Files = Mapping[str, Mapping[str, str]]
"""For each service, the content of its files by their names."""

REDIS, POSTGRES = "valkey:6379", "postgres:5432"
"""The servers, as containers reach them."""

PASSWORDS = tuple(name for name in dotenv_file.SECRETS if name.endswith("_PASSWORD"))


def secrets_of(settings: Settings, environ: Mapping[str, str]) -> Files:
    """Return what each service needs. Raise StackError if a password is not set."""
    passwords = {name: getattr(settings, name.lower()).get_secret_value() for name in PASSWORDS}
    if missing := [name for name, value in passwords.items() if not value]:
        raise StackError(f"{' and '.join(missing)}: not set; `make up` writes passwords to .env. Nothing was done.")
    users = {
        user: rules(rights, settings.key_prefix, passwords[f"{user.upper()}_REDIS_PASSWORD"])
        for user, rights in (("gateway", GATEWAY), ("workers", WORKERS))
    }
    owner = f"postgresql://{SUPERUSER}:{quote(passwords['POSTGRES_PASSWORD'], safe='')}@{POSTGRES}/{DATABASE}"
    workers_password = quote(passwords["WORKERS_POSTGRES_PASSWORD"], safe="")
    workers = {
        "REDIS_URL": _redis_url("workers", passwords["WORKERS_REDIS_PASSWORD"]),
        "DATABASE_URL": f"postgresql://{WORKERS_ROLE}:{workers_password}@{POSTGRES}/{DATABASE}",
    }
    redis_password = passwords["REDIS_PASSWORD"]
    given = read_env_files() | dict(environ)  # also from this host's own SECRETS_FOLDER
    access = read_access(settings.sources_file)
    return {
        "valkey": {
            "valkey.conf": configuration({"requirepass": redis_password}, users),
            "REDIS_PASSWORD": redis_password,
        },
        "postgres": {"POSTGRES_PASSWORD": passwords["POSTGRES_PASSWORD"]},
        "migrate": {"MIGRATE_DATABASE_URL": owner, "DATABASE_URL": workers["DATABASE_URL"]},
        "gateway": {
            **_set(given, access.gateway),
            "REDIS_URL": _redis_url("gateway", passwords["GATEWAY_REDIS_PASSWORD"]),
        },
        "consumers": {**_set(given, access.workers), **workers},
        "console": {**_set(given, OF_CONSOLE), **workers},
        "reconciler": {**_set(given, access.reconciler), **workers},
    }


def write_secrets(folder: Path, files: Files) -> None:
    """Write a folder for each service. Only this host's user can enter the folder above them.

    The user of the container has another number, so files and folders within it can be read by everybody.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for other in set(folder.iterdir()) - {folder / service for service in files}:
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    for service, contents in files.items():
        place = folder / service
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
        for other in set(place.iterdir()) - {place / name for name in contents}:
            other.unlink()
        for name, content in contents.items():
            new = place / f".{name}.new"
            new.unlink(missing_ok=True)
            new.write_text(content, encoding="utf-8")
            new.chmod(0o444)
            new.replace(place / name)


@contextmanager
def written_for_checks(data_dir: Path, files: Files) -> Iterator[Path]:
    """A folder with these files while they are checked. What runs keeps its own until they are applied."""
    folder = data_dir / "secrets-checked"
    try:
        write_secrets(folder, files)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def digests(settings: Settings, folder: Path) -> dict[str, str]:
    """Return a digest for each service of all files that it reads, by which Compose notices a change."""
    mounted = settings.mounted_files
    return {
        f"{service.upper()}_SETTINGS_DIGEST": settings_digest(
            [*mounted.get(service, ()), *sorted((folder / service).glob("*"))]
        )
        for service in ("valkey", "gateway", "consumers", "console", "reconciler")
    }


def write_names(file: Path, dotenv: Path) -> None:
    """Write the names of the variables that containers get: those in `.env` that are no secrets.

    Without values: Compose would replace `$NAME` in them.
    """
    names = read_env_file(dotenv).keys() - SECRET_SETTINGS - set(dotenv_file.SECRETS) - names_in_sources_file()
    file.write_text("".join(f"{name}\n" for name in sorted(names)))


def _redis_url(user: str, password: str) -> str:
    return f"redis://{user}:{quote(password, safe='')}@{REDIS}/0"


def _set(environ: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: environ[name] for name in sorted(names) if environ.get(name)}
