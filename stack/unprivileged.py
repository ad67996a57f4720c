"""Runs PostgreSQL, which refuses to run as root, under another user, without changing folders that are not ours.

If a folder above the program or its data is closed to that user (a checkout in /root, a `mkdtemp`), the process keeps
one ambient capability, which lets it read and enter folders.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stack.base import StackError

CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
"""Capabilities that let a process enter a closed folder, with their bits, the narrower first. Containers often have
only the second."""

FALLBACK_USER = "nobody"


class UnprivilegedError(StackError):
    """PostgreSQL cannot be run as another user than root here. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The user that a program runs as, and the capability it needs to reach its files, if any."""

    uid: int
    gid: int
    capability: str | None

    def command(self, argv: list[str], death_signal: str | None = None) -> list[str]:
        """Wrap `argv`; foreground and pid stay the same. `death_signal` is sent to it when its parent dies."""
        wrapped = [_setpriv(), f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if self.capability:
            # access(2), by which PostgreSQL looks for its own files, forgets capabilities unless this bit is set.
            wrapped += ["--securebits=+no_setuid_fixup"]
            wrapped += [f"--inh-caps=+{self.capability}", f"--ambient-caps=+{self.capability}"]
        if death_signal:
            wrapped += ["--pdeathsig", death_signal]
        return [*wrapped, *argv]


def decide(paths: Iterable[Path], owner_of: Path) -> Drop | None:
    """Return how to run a program that must reach `paths`; None if we are not root.

    The user is the owner of the nearest existing folder at or above `owner_of`, or `nobody` if that owner is root or
    has no name, which PostgreSQL requires.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _user(owner_of)
    blocked = [folder for path in paths for folder in unreachable(path, uid, gid)]
    return Drop(uid, gid, _capability(blocked[0]) if blocked else None)


def _user(folder: Path) -> tuple[int, int]:
    owner = _nearest(folder).stat()
    names = {
        user.pw_uid: user for user in pwd.getpwall() if user.pw_uid == owner.st_uid or user.pw_name == FALLBACK_USER
    }
    names.pop(0, None)
    if not names:
        raise UnprivilegedError(f"PostgreSQL refuses to run as root, and this system has no user {FALLBACK_USER}.")
    user = names.get(owner.st_uid) or next(iter(names.values()))
    return user.pw_uid, user.pw_gid


def _nearest(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def unreachable(path: Path, uid: int, gid: int) -> list[Path]:
    """Return the folders above `path` that this user may not enter."""
    return [folder for folder in path.resolve().parents if folder.exists() and not _may_enter(folder, uid, gid)]


def _may_enter(folder: Path, uid: int, gid: int) -> bool:
    status = folder.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _capability(blocked: Path) -> str:
    bounding = _bounding_set()
    for name, bit in CAPABILITIES.items():
        if bounding & (1 << bit):
            return name
    raise UnprivilegedError(
        f"PostgreSQL refuses to run as root, and the user it would run as may not enter {blocked}. "
        "Move the checkout and DATA_DIR to a folder that other users may enter, or run make as an ordinary user."
    )


def _bounding_set() -> int:
    """Return the capabilities that this process may pass on, as bits; 0 if the system has none."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next((line for line in status.read_text().splitlines() if line.startswith("CapBnd:")), "CapBnd: 0")
    return int(line.split()[1], 16)


def _setpriv() -> str:
    found = shutil.which("setpriv", path=os.defpath + ":/usr/sbin:/sbin")
    if found is None:
        raise UnprivilegedError(
            "PostgreSQL refuses to run as root, and setpriv (package util-linux), which would run it as another user, "
            "is not installed. Install it, or run make as an ordinary user."
        )
    return found
