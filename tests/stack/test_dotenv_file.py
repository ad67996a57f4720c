import base64
import stat
from pathlib import Path

import pytest

from runtime.env_file import read_env_file
from stack import dotenv_file
from stack.dotenv_file import SECRETS, complete


def test_a_fresh_checkout_gets_a_secret_for_every_name(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert complete(path) == list(SECRETS)
    written = read_env_file(path)
    assert set(written) == set(SECRETS)
    assert len(set(written.values())) == len(SECRETS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_two_checkouts_share_a_secret(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    complete(one)
    complete(other)
    assert not set(read_env_file(one).values()) & set(read_env_file(other).values())


def test_the_standard_webhooks_secret_is_base64_of_a_whole_key(tmp_path: Path) -> None:
    complete(tmp_path / ".env")
    secret = read_env_file(tmp_path / ".env")["STANDARD_WEBHOOKS_SECRET"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == dotenv_file.SECRET_BYTES


@pytest.mark.parametrize("before", ["WEBHOOK_SECRET=mine", "WEBHOOK_SECRET=mine\n", "A=1\nWEBHOOK_SECRET='mine'\n#x"])
def test_existing_lines_are_kept_and_only_missing_secrets_are_added(tmp_path: Path, before: str) -> None:
    path = tmp_path / ".env"
    path.write_text(before)
    assert "WEBHOOK_SECRET" not in complete(path)
    assert path.read_text().startswith(before)
    assert read_env_file(path)["WEBHOOK_SECRET"] == "mine"
    assert set(read_env_file(path)) >= set(SECRETS)


def test_an_empty_value_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("REDIS_PASSWORD=\n")
    assert "REDIS_PASSWORD" in complete(path)
    assert read_env_file(path)["REDIS_PASSWORD"]


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    complete(path)
    before = path.read_bytes()
    assert complete(path) == []
    assert path.read_bytes() == before


def test_a_file_that_others_could_read_becomes_private_once_secrets_are_added(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o644)
    complete(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
