"""The console of an embedded stack: it starts with the rest, and its failures are its own."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from runtime.env_file import read_env_file
from stack.console import how_to_sign_in, make_password
from stack.ports import HOST, free_port
from stack.settings import Settings
from stack.state import Ports, choose_ports, ports_while_running
from tests.support.checkout import Checkout
from tests.support.wait import until_sync


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    stack = Checkout(tmp_path, {"CONSOLE_PORT": str(free_port())})
    yield stack
    stack.run("down")


def console_of(checkout: Checkout) -> list[int]:
    return [process.pid for process in checkout.running() if process.name == "console"]


def sign_in(url: str, password: str) -> int:
    form = urllib.parse.urlencode({"name": "ada", "password": password}).encode()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(f"{url}/sign-in", form) as answer:
            assert "Overview" in answer.read().decode()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_console_lives_and_fails_without_the_rest(checkout: Checkout) -> None:
    url = f"http://{HOST}:{checkout.environ['CONSOLE_PORT']}"
    said = checkout.run("up")
    assert f"Console: {url} · Sign in with your own name and the password in {checkout.data_dir}" in said
    assert f"CONSOLE_URL={url}\n" in (checkout.data_dir / "stack.env").read_text()
    path = checkout.data_dir / "console.password"
    password = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password not in said + checkout.run("console") + (checkout.folder / ".env").read_text()
    assert password in checkout.run("console", "--show")
    assert (sign_in(url, password), sign_in(url, f"{password}x")) == (200, 401)
    assert f"Console: {url}" in checkout.run("status")

    [first], rest = console_of(checkout), checkout.processes()
    os.kill(first, signal.SIGKILL)
    until_sync(lambda: console_of(checkout) not in ([], [first]), what="the killed console is restarted")
    [second] = console_of(checkout)

    checkout.environ["CONSOLE_SESSION_S"] = "60"
    checkout.run("up")
    [third] = console_of(checkout)
    assert third != second

    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        checkout.environ["CONSOLE_PORT"] = str(taken)
        said = checkout.run("up")
        assert f"The console does not run; everything else does: port {taken} is taken by" in said
    checkout.environ["CONSOLE_PASSWORD_HASH"] = "no hash"
    said = checkout.run("up")
    assert "The console does not run; everything else does." in said
    assert "CONSOLE_PASSWORD_HASH: its part 1 is neither a hash" in said

    checkout.environ["CONSOLE_PORT"] = "0"
    assert "Console:" not in checkout.run("up")
    assert console_of(checkout) == []
    assert "There is no console" in checkout.run("console")
    assert "CONSOLE_URL" not in (checkout.data_dir / "stack.env").read_text()
    assert checkout.processes() == rest


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
