"""The log of refused requests."""

import time

import structlog

MINUTE_S = 60.0


class RefusalLog:
    """Logs refused requests, a limited number of each kind a minute, and then how many were left out."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._log = structlog.get_logger()
        self._minute = 0
        self._counts: dict[tuple[str, str], int] = {}

    def refused(
        self, source: str, status: int, reason: str, detail: str, client: str | None, trace_id: str | None = None
    ) -> bool:
        """Log one within the limit of its kind. Return whether it was logged.

        `source` and `reason` are names of ours, so that the kinds are few. `trace_id`: of its span, if there is one.
        """
        minute = int(time.monotonic() // MINUTE_S)
        if minute != self._minute:
            left_out = sum(max(0, count - self._per_minute) for count in self._counts.values())
            if left_out:
                self._log.warning("more requests were refused than are logged; the metrics have all", left_out=left_out)
            self._minute, self._counts = minute, {}
        count = self._counts[source, reason] = self._counts.get((source, reason), 0) + 1
        if count > self._per_minute:
            return False
        more = {"trace_id": trace_id} if trace_id else {}
        self._log.warning(
            "request refused", source=source, status=status, reason=reason, detail=detail, client=client, **more
        )
        return True
