"""Replaces itself by a program of the stack, whose output goes to its log file and which ends with its manager.

Run as a plain script without the packages around it (`python -I -S launch.py …`), so that it takes a few milliseconds
and no environment can break it. `usage: launch.py LOG_FILE DEATH_SIGNAL MANAGER_PID PROGRAM [ARGUMENT …]`
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies. Linux only; elsewhere `make down` is what stops it."""

LOG_MODE = 0o600

START_DELAY = "LAUNCH_START_DELAY_S"
"""The environment variable with the seconds to wait before the program starts."""

LISTEN_FD = "LAUNCH_LISTEN_FD"
"""The environment variable with the descriptor of the listening socket that the program inherits, if there is one."""

FIRST_FD = 3
"""Where the program looks for that socket, as sd_listen_fds(3) says."""


def main(log_file: str, death_signal: int, manager_pid: int, argv: list[str]) -> None:
    """Execute `argv` in place of this process. Never returns."""
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, LOG_MODE)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != manager_pid:
            sys.exit("the process manager died before this program started; it is not started")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # stopped while it waits, it ends without a traceback
    pass_socket()
    time.sleep(float(os.environ.pop(START_DELAY, "0")))
    os.execvp(argv[0], argv)  # noqa: S606 -- without a shell is the point


def pass_socket() -> None:
    """Move the listening socket to where the program looks for it. The pid stays the same when it is executed."""
    inherited = os.environ.pop(LISTEN_FD, None)
    if inherited is None:
        return
    if int(inherited) != FIRST_FD:
        os.dup2(int(inherited), FIRST_FD)
        os.close(int(inherited))
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
