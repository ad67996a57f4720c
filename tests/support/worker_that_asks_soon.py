"""`python -m tests.support.worker_that_asks_soon`: a worker that soon asks again where no API answers.

A real one waits for up to 30 s, and the rules look at 15 minutes. Those of `short_rules` look at 8 seconds.
"""

import sys

from consumers.__main__ import main
from consumers.confirmation import pause

PAUSE_S = 1.0

if __name__ == "__main__":
    pause.PAUSE_S_MAX = PAUSE_S
    sys.exit(main([]))
