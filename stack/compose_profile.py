"""Starting the services of the profile `observability`, whose failure is their own only."""

from collections.abc import Mapping

from stack import show
from stack.base import StackError
from stack.containers import RunCompose
from stack.progress import PROGRESS

PROFILE = "observability"
SERVICES = ("prometheus", "alertmanager", "grafana", "jaeger")

PULL_TIMEOUT_S = 1800
"""The first start downloads four images."""


def start_observability(run: RunCompose, environ: Mapping[str, str]) -> None:
    """Start them if COMPOSE_PROFILES, the name of Compose itself, has the profile. Whatever fails is a sentence."""
    if PROFILE not in environ.get("COMPOSE_PROFILES", "").split(","):
        return
    PROGRESS.step(f"starting {', '.join(SERVICES)}; the first time, their images are downloaded")
    try:
        run("up", "--detach", "--no-deps", *SERVICES, timeout_s=PULL_TIMEOUT_S)
    except StackError as error:
        show.complain(f"Not all of the profile {PROFILE} runs; everything else does. {error}")
