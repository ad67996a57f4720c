"""The collector is tuned once, at the end of the start-up."""

import subprocess
import sys

from runtime.gc_tuning import THRESHOLDS

PROGRAM = (
    "import gc; from runtime.gc_tuning import tune_gc; tune_gc(); print(gc.get_threshold(), gc.get_freeze_count())"
)


def test_objects_of_the_start_are_not_collected_again() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    thresholds, _, frozen = done.stdout.strip().rpartition(" ")
    assert thresholds == str(THRESHOLDS)
    assert int(frozen) > 1000
