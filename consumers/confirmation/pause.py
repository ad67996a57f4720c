"""When a source's API is left alone for a while: it cannot answer, or does not accept the credentials."""

from collections.abc import Callable

FAILURES_MIN = 3
"""Questions in a row without an answer after which the API, and not one object, is taken to be the reason."""

PAUSE_S_MIN, PAUSE_S_MAX = 1.0, 30.0
"""The first pause, which doubles, and the longest: what is delivered meanwhile waits for its end."""

RETRY_AFTER_S_MAX = 3600.0
"""The longest pause that an API may ask for."""

REFUSED_S = 180.0
"""How soon credentials that were refused are tried again: somebody has to change them."""

UNAUTHORIZED = 401


class Pause:
    """Whether one source's API may be asked now. `clock` gives seconds. Answers that come late count as one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until_s = 0.0
        self._failures = 0
        self.is_refused = False
        """Whether the last pause is because of the credentials."""

    @property
    def left_s(self) -> float:
        """How long nothing is asked; 0 where it may be."""
        return max(0.0, self._until_s - self._clock())

    @property
    def is_trying(self) -> bool:
        """Whether one question at a time is asked, to see whether the API answers again."""
        return self._failures >= FAILURES_MIN

    def answered(self) -> None:
        """Note an answer, also that there is no such object."""
        self._failures, self._until_s, self.is_refused = 0, 0.0, False

    def failed(self, retry_after_s: float | None) -> None:
        """Note that no answer came. `retry_after_s`: the wait that the API asked for."""
        if self.left_s:
            return
        self._failures += 1
        wait_s = min(retry_after_s or 0.0, RETRY_AFTER_S_MAX)
        if self.is_trying:
            doubled = PAUSE_S_MIN * 2.0 ** min(self._failures - FAILURES_MIN, 30)
            wait_s = max(wait_s, min(doubled, PAUSE_S_MAX))
        self._until_s = self._clock() + wait_s

    def refused(self, status: int) -> bool:
        """Note that the credentials are refused, or may not read one object. Return whether that is new.

        One object may be of another account (403); several in a row are the credentials, and so is 401.
        """
        if self.left_s:
            return False
        self._failures += 1
        if status != UNAUTHORIZED and not self.is_trying:
            return False
        self._failures = max(self._failures, FAILURES_MIN)
        self._until_s = self._clock() + REFUSED_S
        is_new, self.is_refused = not self.is_refused, True
        return is_new
