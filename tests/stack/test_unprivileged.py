import os
from pathlib import Path

import pytest

from stack import unprivileged
from stack.unprivileged import Drop, decide

STRANGER = 54321
"""A user and group id that own nothing on this machine."""


def folder_of(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("mode", "enters"), [(0o755, True), (0o711, True), (0o750, False), (0o700, False)])
def test_another_user_can_enter_folders_that_are_open_to_all(tmp_path: Path, mode: int, enters: bool) -> None:
    folder = folder_of(tmp_path / "folder", mode)
    blocked = unprivileged.unreachable(folder / "program", STRANGER, STRANGER)
    assert (folder not in blocked) == enters


def test_the_owner_can_enter_a_private_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder", 0o700)
    assert folder not in unprivileged.unreachable(folder / "program", folder.stat().st_uid, STRANGER)


def test_only_root_changes_the_user(tmp_path: Path) -> None:
    drop = decide([tmp_path / "program"], owner_of=tmp_path)
    assert (drop is None) == (os.geteuid() != 0)
    assert drop is None or drop.uid != 0


def test_no_capability_is_kept_if_every_folder_can_be_entered() -> None:
    command = Drop(1, 2, None).command(["program", "argument"], death_signal="INT")
    assert command[1:] == ["--reuid=1", "--regid=2", "--clear-groups", "--pdeathsig", "INT", "program", "argument"]


def test_one_capability_is_kept_if_a_folder_is_closed() -> None:
    command = Drop(1, 2, "dac_read_search").command(["program"])
    assert "--ambient-caps=+dac_read_search" in command
    assert command[-1] == "program"
