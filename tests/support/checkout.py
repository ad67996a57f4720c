"""An embedded stack of a test's own, driven by the commands that `make` calls."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import lock
from stack.base import Running
from stack.control import Control
from stack.ports import free_port

ROOT = Path(__file__).parents[2]

COMMAND_TIMEOUT_S = 120
PROGRAMS = ("valkey", "postgres", "consumers", "gateway")


class Checkout:
    """A stack of its own: its folder, its `.env`, its ports, its DATA_DIR at a path no Unix socket could have."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / ("deep" * 30) / "data"
        self.environ = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_PORT"))} | {
            "PYTHONPATH": str(ROOT),
            "SOURCES_FILE": str(ROOT / "sources.toml"),
            "STACK": "embedded",
            "DATA_DIR": str(self.data_dir),
            "GATEWAY_PORT": str(free_port()),
            "CONSOLE_PORT": "0",
            "CONSUMERS": "1",
            **(environ or {}),
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        """One command; gives what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "stack", *arguments], cwd=self.folder, env=self.environ, capture_output=True,
            text=True, check=False, timeout=COMMAND_TIMEOUT_S,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One command in the background, whose output and errors are read together."""
        return subprocess.Popen(
            [sys.executable, "-m", "stack", *arguments], cwd=self.folder, env=self.environ, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def running(self) -> list[Running]:
        """What runs, asked of the process manager itself."""
        return Control(self.data_dir).running()

    def processes(self) -> dict[str, list[int]]:
        """The pids of what runs, by program."""
        running = self.running()
        return {name: [process.pid for process in running if process.name == name] for name in PROGRAMS}

    @property
    def manager(self) -> int | None:
        return lock.owner(self.data_dir / "supervisor.pid")
