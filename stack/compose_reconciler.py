"""Starting the reconciler of a stack in containers, whose failure is its own only.

It has a profile of its own, so that Compose starts it only where a source is compared on a schedule.
"""

from collections.abc import Callable

from stack import ready, show
from stack.access import read_access
from stack.base import StackError
from stack.compose_console import CONSOLE
from stack.containers import Container, RunCompose, last_lines
from stack.progress import PROGRESS
from stack.settings import Settings
from stack.state import State

RECONCILER = "reconciler"

WITH_PROFILE = f"--profile={RECONCILER}"


def wanted_optional(chosen: State | None, settings: Settings) -> dict[str, int]:
    """Return how many containers of console and reconciler there should be."""
    return {
        CONSOLE: 1 if chosen and chosen.ports.console else 0,
        RECONCILER: 1 if read_access(settings.sources_file).reconciles else 0,
    }


def start_reconciler(
    run: RunCompose, containers: Callable[[], list[Container]], settings: Settings, waiter: ready.Waiter
) -> None:
    """Start the reconciler, replace it if something changed for it, or remove it. Whatever fails is a sentence."""
    try:
        if not read_access(settings.sources_file).reconciles:
            if _reconcilers(containers()):
                run(WITH_PROFILE, "rm", "--stop", "--force", RECONCILER)
            return
        PROGRESS.step("starting the reconciler")
        run(WITH_PROFILE, "up", "--detach", "--no-deps", RECONCILER)
        _wait(run, containers, waiter)
    except StackError as error:
        show.complain(f"The reconciler does not run; everything else does. {error}")


def stop_reconciler(run: RunCompose, containers: list[Container]) -> None:
    """Stop it where there is one."""
    if _reconcilers(containers):
        run(WITH_PROFILE, "stop", RECONCILER)


def _wait(run: RunCompose, containers: Callable[[], list[Container]], waiter: ready.Waiter) -> None:
    async def is_healthy() -> str:
        healths = [found.health for found in _reconcilers(containers())]
        return "" if healths == ["healthy"] else f"it is {', '.join(healths) or 'not there'}"

    def restarts() -> int:
        return sum(found.process.restarts for found in _reconcilers(containers()))

    try:
        waiter.until(RECONCILER, is_healthy, None, restarts)
    except ready.NotReadyError as error:
        raise StackError(f"{error}{last_lines(run, RECONCILER)}") from error


def _reconcilers(containers: list[Container]) -> list[Container]:
    return [found for found in containers if found.service == RECONCILER]
