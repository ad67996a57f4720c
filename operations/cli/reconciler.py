"""The arguments of `reconciler`, which runs in operations/reconcile."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --once."""
    parser.add_argument("--once", action="store_true", help="compare what is due once, and end, for cron")
