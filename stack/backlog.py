"""How many events wait, as `python -m operations status` counts them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def count_waiting(environment: Mapping[str, str]) -> int | None:
    """Return the entries of all streams; None if Redis cannot be asked, which `make status` explains."""
    ask = [sys.executable, "-m", "operations", "status", "--json"]
    done = subprocess.run(  # noqa: S603 -- ourselves
        ask, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    # It prints the document also where a server does not answer, and then exits with another code than 0.
    redis: dict[str, Any] = json.loads(done.stdout)["redis"] if done.stdout else {"reachable": False}
    return int(redis["stream"]["backlog"]) if redis["reachable"] else None
