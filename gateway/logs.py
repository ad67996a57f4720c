"""JSON lines on standard output. No body, no signature, no secret is ever given to a log call."""

import logging
import sys
import time
from typing import Any

import structlog

MINUTE_S = 60.0


def configure(level: str) -> None:
    """One line per event, ours and those of the libraries, in one format."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


class RefusalLog:
    """Logs refused requests, a limited number of each kind a minute, and then how many were left out."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._log = structlog.get_logger()
        self._minute = 0
        self._counts: dict[tuple[str, str], int] = {}

    def refused(self, source: str, status: int, reason: str, detail: str, client: str | None) -> None:
        """Log one within the limit of its kind. `source` and `reason` are names of ours, so that the kinds are few."""
        minute = int(time.monotonic() // MINUTE_S)
        if minute != self._minute:
            left_out = sum(max(0, count - self._per_minute) for count in self._counts.values())
            if left_out:
                self._log.warning("more requests were refused than are logged; the metrics have all", left_out=left_out)
            self._minute, self._counts = minute, {}
        count = self._counts[source, reason] = self._counts.get((source, reason), 0) + 1
        if count <= self._per_minute:
            self._log.warning(
                "request refused", source=source, status=status, reason=reason, detail=detail, client=client
            )
