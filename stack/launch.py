"""Becomes a program of the stack: its output goes to its log file, and it is told to stop if its manager dies.

Run as a plain script without the packages around it (`python -I -S launch.py …`), so that it takes a few milliseconds
and no environment can break it. `usage: launch.py LOG_FILE DEATH_SIGNAL MANAGER_PID PROGRAM [ARGUMENT …]`
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies. Linux only; elsewhere `make down` is what stops it."""

LOG_MODE = 0o600


def main(log_file: str, death_signal: int, manager_pid: int, argv: list[str]) -> None:
    """Never returns: executes `argv` in place of this process."""
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != manager_pid:
            sys.exit("the process manager died before this program started; it is not started")
    os.execvp(argv[0], argv)  # noqa: S606 -- without a shell is the point


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
