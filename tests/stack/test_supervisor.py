import signal
from pathlib import Path

import pytest

from stack import logs
from stack.supervisor import START_DELAY_S_MAX, START_UP_S, failed_to_start, rotate, start_delay_s


def test_a_crash_loop_slows_down_and_never_gives_up() -> None:
    delays = [start_delay_s(failed) for failed in range(12)]
    assert delays[:5] == [0, 0, 1, 2, 4]
    assert delays == sorted(delays)
    assert delays[-1] == START_DELAY_S_MAX


@pytest.mark.parametrize(
    ("age_s", "exit_code", "others_run", "failed"),
    [
        (START_UP_S - 1, -signal.SIGKILL, True, False),
        (START_UP_S - 1, -signal.SIGKILL, False, True),
        (START_UP_S - 1, -signal.SIGTERM, True, True),
        (START_UP_S - 1, 1, True, True),
        (START_UP_S - 1, 0, True, True),
        (START_UP_S - 1, None, True, True),
        (START_UP_S, 1, True, False),
    ],
)
def test_a_killed_process_did_not_fail_to_start_if_others_of_its_program_run(
    age_s: float, exit_code: int | None, others_run: bool, failed: bool
) -> None:
    assert failed_to_start(age_s, exit_code, others_run) is failed


def test_a_log_above_its_limit_is_rotated_while_its_writer_continues(tmp_path: Path) -> None:
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


def test_following_returns_whole_lines_and_survives_a_rotation(tmp_path: Path) -> None:
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
