"""`python -m tests.benchmarks.asking_worker FILE`: a worker that asks the stand-in API of `objects`.

When it ends it writes to the file how long each question took, in seconds, as the worker's own client sees it.
"""

import json
import sys
import time
from pathlib import Path

from consumers.__main__ import main
from contract.event import Event
from providers.api import Fetched
from providers.apis import APIS
from tests.support.stand_ins.objects import ObjectsApi

TOOK_S: list[float] = []


class Timed(ObjectsApi):
    """Notes how long it waits for each answer."""

    async def fetch(self, event: Event) -> Fetched:
        began_s = time.monotonic()
        fetched = await super().fetch(event)
        TOOK_S.append(time.monotonic() - began_s)
        return fetched


if __name__ == "__main__":
    APIS[Timed.name] = Timed
    code = main([])
    Path(sys.argv[1]).write_text(json.dumps(TOOK_S))
    sys.exit(code)
