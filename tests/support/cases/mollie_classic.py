"""Mollie's classic webhooks, which nobody signs: a token is in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.support.cases.base import NOW, NOW_S, Case, Expected, RawHeaders, Signed

TOKEN = b"token"


@dataclass(frozen=True, slots=True)
class InAddress(Signed):
    """The token counts as a header until the request is sent: it is then in the query."""

    def __post_init__(self) -> None:
        query = "&".join(f"{name.decode()}={value.decode('latin-1')}" for name, value in self.headers)
        object.__setattr__(self, "target", f"{self.target.partition('?')[0]}?{query}")

    def sent(self) -> tuple[RawHeaders, bytes]:
        return list(self.unsigned), self.body


class MollieClassicCase(Case):
    provider = "mollie_classic"
    secrets = ("first-token-of-22-chars", "second-token-of-22-chars", "third-token-of-22-chars")
    signature = TOKEN
    covers = "reference"
    settings: ClassVar[Mapping[str, object]] = {"confirm": "api", "posts_per_s_max": 1_000_000}
    dated = False
    expected = Expected(f"tr_7UhSNqcvBX:{NOW.isoformat()}", "payment", "tr_7UhSNqcvBX", None)
    sent_as = InAddress

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - nothing is signed
        return [(TOKEN, secret.encode())]

    def event(self, text: str) -> dict[str, Any]:
        return {"id": "tr_7UhSNqcvBX", "note": text}

    def write(self, event: dict[str, Any], indent: int | None = None, *, ascii_only: bool = True) -> str:  # noqa: ARG002
        return urlencode(event, errors="replace")
