"""A command that waits says what for."""

import os
import signal
import time

import pytest

from stack import ready
from stack.progress import PROGRESS, Progress
from stack.ready import NotReadyError, Waiter
from tests.support.wait import until_sync


def test_what_is_waited_for_is_said_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""

    def is_said_twice() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return said.count("checking all settings …\n") >= 2

    progress = Progress(silence_s=0.02)
    with progress.reported():
        progress.step("checking all settings")
        until_sync(is_said_twice, what="the step is said twice")


def test_a_command_without_a_report_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(silence_s=0)
    progress.step("stopping the gateway")
    assert capsys.readouterr().out == ""


def test_waiting_for_a_program_is_a_step_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(PROGRESS, "step", steps.append)
    monkeypatch.setattr(ready, "PAUSE_S", 0.01)

    async def never() -> str:
        return "it still reads its files"

    with pytest.raises(NotReadyError):
        Waiter(time.monotonic() + 0.2).until("valkey", never, None, lambda: 0)
    assert "waiting for valkey: it still reads its files" in steps


def test_ctrl_c_is_noticed_while_a_question_is_asked() -> None:
    async def answers() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "not yet"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs this in background
    try:
        with pytest.raises(KeyboardInterrupt):
            Waiter(time.monotonic() + 5).until("valkey", answers, None, lambda: 0)
    finally:
        signal.signal(signal.SIGINT, before)
