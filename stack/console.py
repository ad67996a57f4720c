"""How people sign in to the console: the first password, and where it is kept.

The console has a failure of its own only. Whatever is wrong with it is a sentence, and the rest runs on.
"""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from stack import dotenv_file
from stack.settings import Settings

PASSWORD_FILE = "console.password"  # noqa: S105 -- the name of a file
HASH_FILE = "console.hash"
"""The hash of the password in PASSWORD_FILE: once `.env` has others, that password opens nothing any more."""

PASSWORD_BYTES = 15
HASH_TIMEOUT_S = 60


def make_password(settings: Settings, env_file: Path) -> bool:
    """Make the first password: its hash to `.env`, itself to DATA_DIR. Return whether one was made.

    None is made where people sign in in another way, or where there is no console.
    """
    if settings.console_port == 0 or settings.console_password_hash.get_secret_value():
        return False
    if settings.console_trusted_proxies.strip():
        return False
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    made = subprocess.run(
        [sys.executable, "-m", "operations", "password"],
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=HASH_TIMEOUT_S,
        check=False,
    )
    if made.returncode:
        return False
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_secretly(settings.data_dir / PASSWORD_FILE, password)
    _write_secretly(settings.data_dir / HASH_FILE, made.stdout.strip())
    dotenv_file.add(env_file, "CONSOLE_PASSWORD_HASH", made.stdout.strip())
    return True


def how_to_sign_in(settings: Settings, *, shows_password: bool = False) -> str:
    """Return a sentence. The password is in it only if it was asked for."""
    path = settings.data_dir / PASSWORD_FILE
    hashes = settings.console_password_hash.get_secret_value()
    if not hashes:
        if settings.console_trusted_proxies.strip():
            return "People sign in at the proxy in CONSOLE_TRUSTED_PROXIES."
        return "Nobody can sign in: neither CONSOLE_PASSWORD_HASH nor CONSOLE_TRUSTED_PROXIES is set."
    if not path.exists() or not _is_current(settings.data_dir / HASH_FILE, hashes):
        return (
            "CONSOLE_PASSWORD_HASH in .env says who may sign in; `.venv/bin/python -m operations password` makes the "
            "hash of a new password."
        )
    if shows_password:
        return f"Sign in with your own name and the password {path.read_text().strip()}"
    return f"Sign in with your own name and the password in {path} (`make console SHOW=1` prints it)."


def _is_current(made: Path, hashes: str) -> bool:
    """Return whether the hash that was made first is still among those in `.env`."""
    return not made.exists() or made.read_text().strip() in hashes.split()


def _write_secretly(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"{text}\n")
