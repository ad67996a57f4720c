"""The arguments of `notify`, which runs in operations/notify."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --once."""
    parser.add_argument("--once", action="store_true", help="look once, send at once what is due, and end, for cron")
