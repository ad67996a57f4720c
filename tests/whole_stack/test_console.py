"""The console of an embedded stack: it starts with the rest, and its failures are its own."""

import os
import signal
import socket
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.ports import HOST, free_port
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
