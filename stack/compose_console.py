"""Starting the console of a stack in containers, whose failure is its own only."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from stack import ready, show
from stack.base import StackError
from stack.containers import Container, RunCompose, last_lines
from stack.ports import holder, is_free
from stack.progress import PROGRESS

CONSOLE = "console"

HOLDS_ITS_PORT = ("running", "restarting")
"""The engine's words for a container whose port may be in use by itself."""


def start_console(
    run: RunCompose, containers: Callable[[], list[Container]], url: str | None, waiter: ready.Waiter
) -> None:
    """Start the console, or replace it if something changed for it. Whatever fails is a sentence.

    It is started alone: Compose would try its dependencies too, and apply the migrations again.
    """
    try:
        before = _consoles(containers())
        if url is None:
            if before:
                run("rm", "--stop", "--force", CONSOLE)
            return
        port = urlsplit(url).port or 0
        if not any(found.status in HOLDS_ITS_PORT for found in before) and not is_free(port):
            show.complain(f"The console does not run; everything else does: port {port} is taken by {holder(port)}.")
            return
        PROGRESS.step("starting the console")
        run("up", "--detach", "--no-deps", CONSOLE)
        _wait(run, containers, url, waiter)
    except StackError as error:
        show.complain(f"The console does not run; everything else does. {error}")


def _wait(run: RunCompose, containers: Callable[[], list[Container]], url: str, waiter: ready.Waiter) -> None:
    async def answers() -> str:
        status, body = await asyncio.to_thread(ready.ask, url, "/healthz")
        return "" if status == 200 else body or f"it answers {status}"

    def restarts() -> int:
        return sum(found.process.restarts for found in _consoles(containers()))

    try:
        waiter.until(CONSOLE, answers, None, restarts)
    except ready.NotReadyError as error:
        raise StackError(f"{error}{last_lines(run, CONSOLE)}") from error


def _consoles(containers: list[Container]) -> list[Container]:
    return [found for found in containers if found.service == CONSOLE]
