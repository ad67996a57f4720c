"""`python -m tests.support.worker_at SIGNAL HOOK`: one worker that sends itself a signal at its first such moment.

With SIGKILL it dies there; with SIGSTOP it stands still there until somebody sends SIGCONT. The production code has no
such switches: it has moments, and somebody who watches them.
"""

import os
import signal
import sys
from pathlib import Path

from consumers.__main__ import main
from consumers.hooks import Hook, Hooks

STAT_STOPPED = "T"


def signal_at(number: signal.Signals, hook: str) -> Hooks:
    """Sends it to this process once."""
    sent = False

    def hooks(reached: Hook) -> None:
        nonlocal sent
        if reached == hook and not sent:
            sent = True
            os.kill(os.getpid(), number)

    return hooks


def is_stopped(pid: int) -> bool:
    """Whether the process stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(STAT_STOPPED)


if __name__ == "__main__":
    sys.exit(main([], signal_at(signal.Signals[sys.argv[1]], sys.argv[2])))
