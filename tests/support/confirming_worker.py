"""`python -m tests.support.confirming_worker [SIGNAL HOOK]`: a worker that may ask the stand-in API of `objects`.

With a signal it sends that to itself at a step, as `tests.support.worker_at` does.
"""

import signal
import sys

from consumers.__main__ import main
from consumers.hooks import no_hooks
from providers.apis import APIS
from tests.support.stand_ins.objects import ObjectsApi
from tests.support.worker_at import signal_at

APIS[ObjectsApi.name] = ObjectsApi

if __name__ == "__main__":
    hooks = signal_at(signal.Signals[sys.argv[1]], sys.argv[2]) if sys.argv[1:] else no_hooks
    sys.exit(main([], hooks))
