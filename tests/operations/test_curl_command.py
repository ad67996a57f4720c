"""The curl command, as a shell reads it."""

import subprocess
from pathlib import Path

import pytest

from operations.curl_command import COMMAND_BODY_BYTES_MAX, curl_command
from operations.masking import MASK

SHELL = r"""
GATEWAY_URL=http://127.0.0.1:1
curl() { printf '%s\0' "$@"; }
"""


def read_by_a_shell(command: str, shell: str = "bash") -> list[bytes]:
    """The arguments that curl would get."""
    run = subprocess.run([shell, "-c", SHELL + command], capture_output=True, check=True, timeout=10)
    assert run.stderr == b""
    return run.stdout.split(b"\0")[:-1]


@pytest.mark.parametrize(
    "body",
    [b'{"id": "evt_1"}', b"@/etc/passwd", b"'; touch /x; '", b"$(id) `id` ${HOME} !1 \\' \\", b"a\nb\r\n\ttab\x1b[31m",
     "é \N{PILE OF POO}1 \u202e".encode(), b"\xff\xfe\x80a0", b"-X", b" "],
)  # fmt: skip
def test_a_shell_gives_curl_the_exact_bytes(body: bytes) -> None:
    command = curl_command("stripe", body, {"stripe-signature": "t=1,v1='$(id)'\u202e"}, is_masked=False)
    assert command is not None
    assert command.isascii()
    arguments = read_by_a_shell(command)
    assert arguments[0] == b"http://127.0.0.1:1/webhooks/stripe"
    assert arguments[-2:] == [b"--data-raw", body]
    assert "stripe-signature: t=1,v1='$(id)'\u202e".encode() in arguments


def test_every_shell_reads_the_same_escapes() -> None:
    command = curl_command("stripe", b"\xe9BEEF\n1", {}, is_masked=False)
    assert command is not None
    assert r"$'\351BEEF\0121'" in command  # as \xe9, some shells would read \xe9BEEF


def test_a_shell_without_such_quotes_executes_nothing(tmp_path: Path) -> None:
    body = f"'; touch {tmp_path}/x; $(touch {tmp_path}/y) `touch {tmp_path}/z`".encode()
    command = curl_command("stripe", body, {}, is_masked=False)
    assert command is not None
    assert len(read_by_a_shell(command, "sh")) == 5
    assert list(tmp_path.iterdir()) == []


def test_headers_that_may_hold_a_secret_are_left_out() -> None:
    headers = {"authorization": "Basic x", "x-webhook-token": "y", "x-topic": "z"}
    command = curl_command("a", b"{}", headers, is_masked=False)
    assert command is not None
    assert "x-topic: z" in command
    assert "Basic" not in command
    assert "token" not in command


def test_a_masked_command_has_the_masked_body_or_there_is_none() -> None:
    command = curl_command("a", b'{"email": "ada@example.org", "id": 1}', {"x-client-ip": "::1"}, is_masked=True)
    assert command is not None
    assert read_by_a_shell(command)[-1].decode() == f'{{"email": "{MASK}", "id": 1}}'
    assert "::1" not in command
    assert curl_command("a", b"email=ada@example.org", {}, is_masked=True) is None


@pytest.mark.parametrize("body", [b"a\0b", b"a" * (COMMAND_BODY_BYTES_MAX + 1)])
def test_a_body_that_no_argument_can_hold_comes_from_a_file(body: bytes) -> None:
    command = curl_command("a", body, {}, is_masked=False)
    assert command is not None
    assert command.endswith("--data-binary @body.bin")
