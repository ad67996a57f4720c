"""What workers do once a day, one of them at a time: `STEPS` lists it.

A new step is a `Step` with a name of its own, which nothing else has to know: the name is in the table `maintenance`,
in metrics and in what `make retain` prints.
"""

from consumers.maintenance.archive import ARCHIVE
from consumers.maintenance.retention import DEAD_LETTERS, DUPLICATES, PAYLOADS
from consumers.maintenance.steps import Step

STEPS: tuple[Step, ...] = (PAYLOADS, DUPLICATES, DEAD_LETTERS, ARCHIVE)
"""In the order in which they run."""
