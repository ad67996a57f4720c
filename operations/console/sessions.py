"""Sign-ins that last, and the limit on attempts to sign in. Both are kept in memory: a restart signs everybody out."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from operations.console.access import Viewer

SESSION_S_MAX = 7 * 24 * 3600.0
"""After this time a person signs in again, also if they never paused."""

SESSIONS_MAX = 1000
"""Past it, the sign-in that was used least recently ends."""

TOKEN_BYTES = 32

ATTEMPTS_MAX = 10
"""Failed sign-ins of one address within ATTEMPTS_WINDOW_S; past it, the address has to wait."""

ATTEMPTS_WINDOW_S = 300.0
ADDRESSES_MAX = 10_000


@dataclass(slots=True)
class _Session:
    viewer: Viewer
    began_at_s: float
    used_at_s: float


class Sessions:
    """Who is signed in, by the token in their cookie."""

    def __init__(self, lifetime_s: float) -> None:
        self._lifetime_s = lifetime_s
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, viewer: Viewer, token: str = "") -> str:
        """Return the token of a new sign-in: a random one unless it is given, which nobody else may know."""
        token = token or secrets.token_urlsafe(TOKEN_BYTES)
        now_s = time.monotonic()
        self._sessions[token] = _Session(viewer, now_s, now_s)
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return token

    def find(self, token: str) -> Viewer | None:
        """Return who has this token and prolong the sign-in; None if it is over."""
        session = self._sessions.get(token)
        if session is None:
            return None
        now_s = time.monotonic()
        if now_s > min(session.used_at_s + self._lifetime_s, session.began_at_s + SESSION_S_MAX):
            del self._sessions[token]
            return None
        session.used_at_s = now_s
        self._sessions.move_to_end(token)
        return session.viewer

    def end(self, token: str) -> None:
        """Sign out."""
        self._sessions.pop(token, None)


class Attempts:
    """Failed sign-ins by address."""

    def __init__(self) -> None:
        self._failed_at_s: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._failed_at_s)

    def wait_s(self, address: str) -> float:
        """Return how long this address has to wait before its next attempt; 0 if it need not."""
        recent = self._recent(address)
        return recent[0] + ATTEMPTS_WINDOW_S - time.monotonic() if len(recent) >= ATTEMPTS_MAX else 0.0

    def failed(self, address: str) -> None:
        """Count a failed attempt."""
        self._failed_at_s[address] = [*self._recent(address), time.monotonic()][-ATTEMPTS_MAX:]
        self._failed_at_s.move_to_end(address)
        while len(self._failed_at_s) > ADDRESSES_MAX:
            self._failed_at_s.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Take back the attempt that was counted last."""
        if earlier := self._failed_at_s.get(address, [])[:-1]:
            self._failed_at_s[address] = earlier
        else:
            self._failed_at_s.pop(address, None)

    def _recent(self, address: str) -> list[float]:
        since_s = time.monotonic() - ATTEMPTS_WINDOW_S
        return [at_s for at_s in self._failed_at_s.get(address, []) if at_s > since_s]
