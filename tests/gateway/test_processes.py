"""The parent of several processes: an error of its own ends all of them, and leaves none waiting for another."""

import asyncio
import sys

PROGRAM = """
import os, select
from gateway.processes import Supervisor

token, give = os.pipe()
os.write(give, b"x")
os.set_blocking(token, False)

def child(parent_pipe):
    try:
        os.read(token, 1)  # one of the two ends at once
    except BlockingIOError:
        select.select([parent_pipe], [], [])
    return 0

def fail(pid):
    raise OSError("the metrics of a dead process cannot be removed")

Supervisor(2, child, on_exit=fail, stop_s=1).run()
"""
TIMEOUT_S = 20.0


async def test_an_error_of_the_parent_ends_all_processes() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, errors = await parent.communicate()  # its end, and that of every process that inherited stderr
    finally:
        if parent.returncode is None:
            parent.kill()
    assert parent.returncode == 1
    assert b"the metrics of a dead process cannot be removed" in errors
