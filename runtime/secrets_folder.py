"""SECRETS_FOLDER: secrets as files, each named as the setting or the variable whose value it has.

Compose, Kubernetes and systemd can all give secrets this way. Unlike a variable, a file is not shown by
`docker inspect`, and no child process inherits it.
"""

import stat
from pathlib import Path

SETTING = "SECRETS_FOLDER"

FILE_BYTES_MAX = 65_536
"""The largest file that is a secret."""


def read_secrets(folder: Path) -> dict[str, str]:
    """Return the values by their names, without the line ends after them. Files that cannot be read are left out."""
    return {file.name: _text(file) for file in _files(folder) if not _problem(file)}


def secrets_problems(folder: Path) -> list[str]:
    """Return a sentence for each file that cannot be read, or one if there is no such folder."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            return [f"{SETTING}: {folder} is not a folder"]
        return [f"{SETTING}: {problem}" for file in _files(folder) if (problem := _problem(file))]
    except OSError as error:
        return [f"{SETTING}: {folder} cannot be read: {error.strerror}"]


def _files(folder: Path) -> list[Path]:
    """Return the files, or links to files, in it. Kubernetes keeps folders with its own versions there, too."""
    return sorted(file for file in folder.iterdir() if not file.name.startswith(".") and not file.is_dir())


def _problem(file: Path) -> str:
    """Return why a file is no secret; "" if it is one."""
    try:
        if not file.is_file():
            return f"{file} is no file"
        if file.stat().st_size > FILE_BYTES_MAX:
            return f"{file} has more than {FILE_BYTES_MAX} bytes"
        if "\0" in _text(file):
            return f"{file} has a NUL character"
    except UnicodeDecodeError:
        return f"{file} is not UTF-8 text"
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    return ""


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").rstrip("\r\n")
