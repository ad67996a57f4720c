"""What the manager does with the processes of an attempt that failed."""

from circus.watcher import Watcher

from stack.define import restore
from stack.starter import Pool


async def test_a_reverted_attempt_ends_its_own_processes_also_if_the_manager_checks_meanwhile() -> None:
    watcher = Watcher("worker", "sleep", args=["60"], numprocesses=1, graceful_timeout=10)
    await watcher.start()
    try:
        before = Pool(frozenset(watcher.processes), watcher.numprocesses)
        await watcher.set_numprocesses(2)
        attempted = [process for pid, process in watcher.processes.items() if pid not in before.pids]
        ended = restore(watcher, before)
        await watcher.manage_processes()
        await ended
        await watcher.manage_processes()
        assert set(watcher.processes) == before.pids
        assert [process.is_alive() for process in attempted] == [False]
    finally:
        await watcher.stop()
