"""`python -m tests.support.worker_at SIGNAL HOOK`: one worker that sends itself a signal at a step of its first batch.

With SIGKILL it dies there; with SIGSTOP it is frozen until it gets SIGCONT. The production code has no such switches,
only the hooks.
"""

import os
import signal
import sys
from pathlib import Path

from consumers.__main__ import main
from consumers.hooks import AllHooks, AskHook, Hook

STAT_STOPPED = "T"


def signal_at(number: signal.Signals, hook: str) -> AllHooks:
    """Return hooks that send the signal to this process once."""
    sent = False

    def hooks(reached: Hook | AskHook) -> None:
        nonlocal sent
        if reached == hook and not sent:
            sent = True
            os.kill(os.getpid(), number)

    return hooks


def is_stopped(pid: int) -> bool:
    """Return whether the process is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(STAT_STOPPED)


if __name__ == "__main__":
    sys.exit(main([], signal_at(signal.Signals[sys.argv[1]], sys.argv[2])))
