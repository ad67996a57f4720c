"""What the command lines of all programs have in common."""

import argparse
import sys

from contract.text import escaped
from runtime.version import DISTRIBUTION, version


def make_parser(program: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of `python -m PROGRAM`, with --help and --version. The description is shown as it is."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        epilog="Settings are environment variables or lines of .env; .env.example explains each of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {version()}")
    return parser


def fail(sentence: str, code: int) -> int:
    """Write why a program ends to standard error, and return its exit code."""
    sys.stderr.write(f"{escaped(sentence)}\n")  # it may quote an id, which may hold any character
    return code
