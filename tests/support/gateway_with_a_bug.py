"""`python -m tests.support.gateway_with_a_bug`: a gateway that was deployed with a bug in one of its providers.

No request is known that makes the real one fail in a way that it does not know; if one were, it would be mended. So
this is the real program with one line that is wrong for one event.
"""

import sys
from collections.abc import Sequence

from gateway.__main__ import main
from providers.base import ParsedEvent, Request
from providers.generic_hmac.webhook import GenericHmac

HITS = b"meets-the-bug"
"""What a body holds that meets the bug."""

parse = GenericHmac.parse


def parse_with_a_bug(self: GenericHmac, request: Request) -> Sequence[ParsedEvent]:
    if HITS in request.body:
        raise ZeroDivisionError
    return parse(self, request)


if __name__ == "__main__":
    GenericHmac.parse = parse_with_a_bug  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[1:]))
