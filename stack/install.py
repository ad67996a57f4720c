"""Installs the packages of a lock file with pip, and prints a line now and then about how far it is.

Run as a plain script before anything is installed: `python stack/install.py requirements.lock`.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

SAY_EVERY_S = 5.0
"""Nothing is said of an installation that is quicker."""


class Progress:
    """What pip is doing, read from its output."""

    def __init__(self, packages: int) -> None:
        self._packages = packages
        self._found = 0
        self._is_installing = False
        self.output: list[str] = []

    def read(self, lines: Iterable[str]) -> None:
        """Follow pip's output to its end."""
        for line in lines:
            self.output.append(line)
            self._found += line.startswith(("Collecting ", "Requirement already satisfied"))
            self._is_installing |= line.startswith("Installing collected packages")

    def sentence(self, elapsed_s: float) -> str:
        """Return how far it is."""
        if self._is_installing:
            return f"  {elapsed_s:.0f} s: the packages are downloaded, and are being installed …"
        return (
            f"  {elapsed_s:.0f} s: {min(self._found, self._packages)} of about {self._packages} packages downloaded …"
        )


def main(lock_file: str) -> int:
    """Install, and return pip's exit code. Its output is shown only if it failed."""
    progress = Progress(len(re.findall(r"^\S+==", Path(lock_file).read_text(), re.MULTILINE)))
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    started_s = time.monotonic()
    with subprocess.Popen(  # noqa: S603 -- our own arguments
        [*pip, "--require-hashes", f"--requirement={lock_file}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        reading = threading.Thread(target=progress.read, args=(process.stdout or (),))
        reading.start()
        while True:
            reading.join(SAY_EVERY_S)
            if not reading.is_alive():
                break
            print(progress.sentence(time.monotonic() - started_s), flush=True)  # noqa: T201 -- nothing is installed yet
    if process.returncode:
        sys.stderr.writelines(progress.output)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
