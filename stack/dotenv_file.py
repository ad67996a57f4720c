"""`.env` on a fresh checkout: random secrets, so that nothing ships with a default one."""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.env_file import read_env_file
from stack.base import StackError

SECRET_BYTES = 32

HEADING = "# Written by `make up`. Random secrets of this checkout; keep this file to yourself.\n"


def _hex() -> str:
    return secrets.token_hex(SECRET_BYTES)


def _standard_webhooks() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _stripe() -> str:
    return "whsec_" + _hex()


SECRETS: Mapping[str, Callable[[], str]] = {
    "STRIPE_WEBHOOK_SECRET": _stripe,
    "STANDARD_WEBHOOKS_SECRET": _standard_webhooks,
    "WEBHOOK_SECRET": _hex,
    "REDIS_PASSWORD": _hex,
    "GATEWAY_REDIS_PASSWORD": _hex,
    "WORKERS_REDIS_PASSWORD": _hex,
    "POSTGRES_PASSWORD": _hex,
    "WORKERS_POSTGRES_PASSWORD": _hex,
}
"""The secrets that `.env` must hold, and how to make each. None needs quoting in a shell or a URL."""


def complete(path: Path) -> list[str]:
    """Add the secrets that are missing or empty, keep everything else, and return the names of the added ones.

    Raise StackError if the file cannot be written.
    """
    held = read_env_file(path)
    missing = [name for name in SECRETS if not held.get(name)]
    if missing:
        try:
            _append(path, "".join(f"{name}={SECRETS[name]()}\n" for name in missing))
        except OSError as error:
            raise StackError(f"{path} cannot be written: {error.strerror}; nothing was started or stopped") from error
    return missing


def add(path: Path, name: str, value: str) -> None:
    """Add one line. Raise StackError if the file cannot be written."""
    try:
        _append(path, f"{name}={value}\n")
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror}; nothing was started or stopped") from error


def put(path: Path, name: str, value: str) -> None:
    """Set one name: in the line that it has, else in a new one. Raise StackError if the file cannot be written."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        replaced, count = re.subn(
            rf"^(?:export\s+)?{re.escape(name)}\s*=.*$", lambda _: f"{name}={value}", text, flags=re.MULTILINE
        )
        if count == 0:
            _append(path, f"{name}={value}\n")
        else:
            new = path.with_name(path.name + ".new")
            new.touch(mode=0o600)
            new.write_text(replaced, encoding="utf-8")
            new.replace(path)
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror}; nothing was started or stopped") from error


def _append(path: Path, lines: str) -> None:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+") as file:
        os.fchmod(file.fileno(), 0o600)
        before = file.read()
        file.write(HEADING if not before else "" if before.endswith("\n") else "\n")
        file.write(lines)
