"""Sending one message to NOTIFY_URL, as the specification of Standard Webhooks says.

The address is a secret: nothing of it but its host reaches a log or an error. TLS is verified against the system's
roots (SSL_CERT_FILE names others), no redirect is followed, and of an answer only its status is read.
"""

import ssl
import time
from enum import Enum, auto
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from operations.notify.settings import Settings
from providers.standard_webhooks import signed_headers
from runtime.version import version

TIMEOUT_S = 10.0
"""How long the receiver may take, from connecting to its status."""

ANSWER_BYTES_MAX = 8192
"""A longer status line or header is a failure; a body is not read."""

RETRIED = frozenset({408, 425, 429})
"""The refusals that say: later."""

log = structlog.get_logger()


class Outcome(Enum):
    """What became of an attempt."""

    DELIVERED = auto()
    FAILED = auto()
    """No answer, or one that says that another attempt may succeed."""
    REFUSED = auto()
    """An answer that says that another attempt is refused, too."""


class Receiver:
    """The receiver at NOTIFY_URL, with what its messages are signed with."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.notify_url
        self._key = settings.key
        self.host = urlsplit(self._url.get_secret_value()).hostname or ""

    async def send(self, message_id: str, message: str) -> Outcome:
        """Send one message and log what became of it. Raise nothing."""
        body = message.encode()
        headers = signed_headers(self._key, message_id, int(time.time()), body)
        try:
            status = await self._post(body, headers)
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            # Its text may have the address.
            return self._failed(message_id, Outcome.FAILED, f"no answer ({type(error).__name__})")
        if 200 <= status < 300:
            log.info("a notification was delivered", host=self.host, message_id=message_id, status=status)
            return Outcome.DELIVERED
        is_refused = 300 <= status < 500 and status not in RETRIED
        return self._failed(message_id, Outcome.REFUSED if is_refused else Outcome.FAILED, f"it answered {status}")

    def _failed(self, message_id: str, outcome: Outcome, reason: str) -> Outcome:
        again = "once NOTIFY_REPEAT_S has passed" if outcome is Outcome.REFUSED else "soon"
        log.warning(
            "a notification was not delivered; it is sent again", host=self.host, message_id=message_id, reason=reason,
            again=again,
        )  # fmt: skip
        return outcome

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        async with (
            ClientSession(
                connector=TCPConnector(ssl=ssl.create_default_context(), limit=1, force_close=True),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=TIMEOUT_S),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=ANSWER_BYTES_MAX,
                max_line_size=ANSWER_BYTES_MAX,
                max_field_size=ANSWER_BYTES_MAX,
                headers={"Content-Type": "application/json", "User-Agent": f"payment-webhooks/{version()}"},
            ) as session,
            session.post(
                URL(self._url.get_secret_value()), data=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            return answer.status
