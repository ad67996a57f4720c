import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack import logs
from stack.supervisor import RESPAWN_DELAY_S_MAX, respawn_delay_s, rotate, was_killed


def test_a_crash_loop_slows_down_and_never_gives_up() -> None:
    delays = [respawn_delay_s(deaths) for deaths in range(12)]
    assert delays[:5] == [0, 0, 1, 2, 4]
    assert delays == sorted(delays)
    assert delays[-1] == RESPAWN_DELAY_S_MAX


@pytest.mark.parametrize(
    ("ending", "killed"),
    [("os.kill(os.getpid(), signal.SIGKILL)", True), ("os.kill(os.getpid(), signal.SIGTERM)", False),
     ("sys.exit(1)", False), ("", False)],
)  # fmt: skip
def test_who_was_killed_is_told_from_who_died(ending: str, killed: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", f"import os, signal, sys; {ending}"])
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGKILL  # it is waited for
    assert was_killed(status) is killed
    assert not was_killed(None)


def test_a_log_is_moved_aside_above_its_limit_while_its_writer_goes_on(tmp_path: Path) -> None:
    log, small = tmp_path / "gateway.log", tmp_path / "consumers.log"
    small.write_text("short")
    with log.open("a") as writer:
        writer.write("x" * 100)
        writer.flush()
        rotate([log, small, tmp_path / "missing.log"], bytes_max=50)
        writer.write("after")
    assert log.read_text() == "after"
    assert (tmp_path / "gateway.log.1").read_text() == "x" * 100
    assert small.read_text() == "short"


def test_following_gives_whole_lines_and_survives_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("old\n")
    positions = {log: 4}
    assert list(logs.added(log, positions)) == []
    log.write_text("old\nnew\nhal")
    assert list(logs.added(log, positions)) == ["new"]
    log.write_text("old\nnew\nhalf\n")
    assert list(logs.added(log, positions)) == ["half"]
    log.write_text("one\n")
    assert list(logs.added(log, positions)) == ["one"]
