"""Python's cycle collector, tuned for a long-lived process that makes hardly any reference cycles."""

import gc

THRESHOLDS = (50_000, 20, 20)
"""Allocations between two collections. Python's own 700 would traverse all requests or entries in flight again and
again."""


def tune_gc() -> None:
    """Exempt everything made so far from collection, and collect less often. Call it once, when start-up is done."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
