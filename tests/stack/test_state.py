import stat
import subprocess
from pathlib import Path

import pytest

from runtime.env_file import read_env_file
from stack import state
from stack.state import Ports, State, StateError, settings_digest

URLS = [
    "postgresql://payments:secret@127.0.0.1:5432/payments?sslmode=disable",
    "redis://:a'b\"c@127.0.0.1:1/0",
    "redis://:$HOME#x y@127.0.0.1:1/0",
]


def test_stored_choices_are_read_back(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None
    chosen = State("embedded", Ports(1, 2, 3, 4), {"gateway": "digest"}, 2)
    state.write(tmp_path, chosen)
    assert state.read(tmp_path) == chosen


@pytest.mark.parametrize("url", URLS)
def test_stack_env_is_read_back_unchanged(tmp_path: Path, url: str) -> None:
    addresses = {"GATEWAY_URL": "http://127.0.0.1:8080", "REDIS_URL": url, "DATABASE_URL": url}
    state.write_environment(tmp_path, {**addresses, "PATH": "/bin"})
    read = read_env_file(tmp_path / "stack.env")
    assert read == addresses


def test_a_shell_can_read_stack_env(tmp_path: Path) -> None:
    state.write_environment(tmp_path, {"DATABASE_URL": URLS[0]})
    shown = subprocess.run(
        ["sh", "-c", '. ./stack.env; printf %s "$DATABASE_URL"'], cwd=tmp_path, capture_output=True, check=True
    )
    assert shown.stdout.decode() == URLS[0]


def test_only_the_owner_can_read_the_passwords(tmp_path: Path) -> None:
    state.write_environment(tmp_path, {"DATABASE_URL": URLS[0]})
    assert stat.S_IMODE((tmp_path / "stack.env").stat().st_mode) == 0o600


def test_the_digest_changes_with_any_of_the_files(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    digests = [settings_digest([one, other])]
    one.write_text("ab")
    digests.append(settings_digest([one, other]))
    one.write_text("a")
    other.write_text("b")
    digests.append(settings_digest([one, other]))
    assert len(set(digests)) == 3
    assert settings_digest([one, other]) == digests[-1]


DAMAGED = {
    "empty": "",
    "truncated": '{"kind": "emb',
    "of another version": '{"kind": "systemd", "ports": {}}',
    "a list": "[]",
    "a port in words": '{"kind": "embedded", "ports": {"redis": "x"}}',
    "no UTF-8": "\xff",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_choices_are_one_sentence_that_says_how_to_repair_them(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content, encoding="latin-1")
    with pytest.raises(StateError, match=r"stack\.json.* cannot be read: it is damaged.*make down.*GATEWAY_PORT"):
        state.read(tmp_path)


def test_a_program_that_was_not_replaced_counts_as_changed_and_keeps_its_ports() -> None:
    last = State("embedded", Ports(1, 2, 3, 4, 5), {"gateway": "a", "consumers": "a", "valkey": "a"}, 2)
    begun = last.without(["gateway", "consumers"])
    assert begun.digests == {"valkey": "a"}
    halfway = begun.replaced("consumers", Ports(9, 9, 9, 9, 9), "b")
    assert halfway == State("embedded", Ports(1, 2, 3, 9, 5), {"valkey": "a", "consumers": "b"}, 2)
    assert halfway.replaced("gateway", Ports(9, 9, 9, 9, 9), "b").ports == Ports(1, 2, 9, 9, 9)
