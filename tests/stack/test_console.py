"""The console of an embedded stack: its first password, and its port."""

import re
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from runtime.env_file import read_env_file
from stack.console import how_to_sign_in, make_password
from stack.ports import HOST, free_port
from stack.settings import Settings
from stack.state import Ports, choose_ports, ports_while_running


def test_a_first_password_is_made_once_and_only_where_it_is_needed(tmp_path: Path) -> None:
    env_file, data_dir = tmp_path / ".env", tmp_path / "data"
    settings = Settings.model_construct(data_dir=data_dir)
    for other in ({"console_port": 0}, {"console_trusted_proxies": "10.0.0.5"}):
        assert not make_password(settings.model_copy(update=other), env_file)
    assert make_password(settings, env_file)
    made = read_env_file(env_file)["CONSOLE_PASSWORD_HASH"]
    assert re.fullmatch(r"scrypt:[\w:-]+", made or "")
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    kept = Settings.model_validate({"data_dir": data_dir, "console_password_hash": made})
    assert not make_password(kept, env_file)
    assert str(data_dir / "console.password") in how_to_sign_in(kept)
    own = kept.model_copy(update={"console_password_hash": SecretStr("vera:viewer:scrypt:16384:8:1:salt:key")})
    assert "console.password" not in how_to_sign_in(own, shows_password=True)
    (data_dir / "console.password").unlink()
    assert "`.venv/bin/python -m operations password`" in how_to_sign_in(kept, shows_password=True)
    assert how_to_sign_in(settings).startswith("Nobody can sign in")


def test_a_taken_port_of_the_console_stops_nothing() -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        before = Ports(free_port(), free_port(), free_port(), free_port(), free_port())
        assert choose_ports(before, {"console": taken}).console == taken
        assert ports_while_running(before, {"console": taken}).console == taken
        assert choose_ports(replace(before, console=taken), {}).console != taken


def test_a_password_is_read_from_a_pipe_and_has_a_least_length() -> None:
    def made(text: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "operations", "password"]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    assert made("correct horse battery\n").stdout.startswith("scrypt:16384:8:1:")
    short = made("short\n")
    assert (short.returncode, short.stdout) == (2, "")
    assert "A password has 12 to 200 characters" in short.stderr
