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
    path = _password_file(settings.data_dir)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"{password}\n")
    dotenv_file.add(env_file, "CONSOLE_PASSWORD_HASH", made.stdout.strip())
    return True


def how_to_sign_in(settings: Settings, *, shows_password: bool = False) -> str:
    """Return a sentence. The password is in it only if it was asked for."""
    path = _password_file(settings.data_dir)
    if not settings.console_password_hash.get_secret_value():
        if settings.console_trusted_proxies.strip():
            return "People sign in at the proxy in CONSOLE_TRUSTED_PROXIES."
        return "Nobody can sign in: neither CONSOLE_PASSWORD_HASH nor CONSOLE_TRUSTED_PROXIES is set."
    if not path.exists():
        return (
            "CONSOLE_PASSWORD_HASH in .env says who may sign in; `.venv/bin/python -m operations password` makes the "
            "hash of a new password."
        )
    if shows_password:
        return f"Sign in with your own name and the password {path.read_text().strip()}"
    return f"Sign in with your own name and the password in {path} (`make console SHOW=1` prints it)."


def _password_file(data_dir: Path) -> Path:
    return data_dir / PASSWORD_FILE
