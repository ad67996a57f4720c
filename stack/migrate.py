"""Applies the migrations that are missing, before workers and gateway start."""

import subprocess
import sys
from collections.abc import Mapping

from stack.base import StackError
from stack.progress import PROGRESS

MIGRATE_TIMEOUT_S = 600
"""A migration of a large table may take minutes."""


def migrate(environment: Mapping[str, str]) -> None:
    """Migrate the database that this environment names. Raise StackError with what the program printed."""
    PROGRESS.step("applying the migrations that are missing")
    done = subprocess.run(
        [sys.executable, "-m", "sql", "migrate"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=MIGRATE_TIMEOUT_S,
    )
    if done.returncode != 0:
        output = done.stderr.strip() or done.stdout.strip()
        raise StackError(f"the migrations failed; no event is lost meanwhile:\n{output}")
