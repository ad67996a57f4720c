"""`make pin`: the digest of each image in `.env`, so that the same bytes run until it is called again."""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from stack import dotenv_file, show
from stack.base import StackError
from stack.compose_profile import PROFILE
from stack.containers import output
from stack.progress import PROGRESS

COMPOSE_FILE = Path("compose.yaml")

OF_PROFILE = frozenset({"PROMETHEUS_IMAGE", "ALERTMANAGER_IMAGE", "GRAFANA_IMAGE", "JAEGER_IMAGE"})

PULL_TIMEOUT_S = 1800

_IMAGE = re.compile(r"\$\{(\w+_IMAGE):-([^}]+)\}")


def images(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the images that are in use, without digest, by the names that compose.yaml has for them."""
    profiles = environ.get("COMPOSE_PROFILES", "").split(",")
    return {
        name: (environ.get(name) or default).partition("@")[0]
        for name, default in _IMAGE.findall(COMPOSE_FILE.read_text(encoding="utf-8"))
        if PROFILE in profiles or name not in OF_PROFILE
    }


def run(environ: Mapping[str, str], env_file: Path) -> int:
    """Write the digests, and return 0. Raise StackError."""
    with PROGRESS.reported():
        pin(environ, env_file)
    return 0


def pin(environ: Mapping[str, str], env_file: Path) -> None:
    """Download each image and write what it is now. Raise StackError, and write nothing, if one cannot be had."""
    docker = partial(output, environment=environ, timeout_s=PULL_TIMEOUT_S)
    found = {}
    for name, image in images(environ).items():
        PROGRESS.step(f"downloading {image}")
        docker(["docker", "pull", "--quiet", image])
        known = docker(["docker", "image", "inspect", "--format={{json .RepoDigests}}", image])
        found[name] = f"{image}@{_digest(image, known)}"
    for name, pinned in found.items():
        dotenv_file.put(env_file, name, pinned)
        show.say(f"{name}={pinned}")
    show.say("Written to .env; `make up` uses them.")


def _digest(image: str, answer: str) -> str:
    """Return the digest under which its registry has an image. One that was built here has none."""
    repository = re.sub(r":[^:/]*$", "", image)
    for known in json.loads(answer) or ():
        name, _, digest = known.partition("@")
        # The engine writes the names of Docker Hub in full, or short.
        if name == repository or name.removeprefix("docker.io/").removeprefix("library/") == repository:
            return str(digest)
    raise StackError(f"{image} has no digest of a registry; nothing was written to .env")
