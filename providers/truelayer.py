"""TrueLayer: `Tl-Signature: <JWS header>..<signature>`, ES512 over method, path, named headers and body.

Source: github.com/TrueLayer/truelayer-signing, request-signing-v2. Signed is `<JWS header>.<base64url of
"POST <path>\\n<Name>: <value>\\n…<body>">`, with the headers that `tl_headers` names, in that order and spelling.

* `jku` is the address of the keys, and anyone can write one: only that of the source's `environment` is accepted. The
  sandbox signs for anyone with an account there, so a source accepts the keys of one environment only.
* The keys are fetched, and fetched again when a request names an unknown one. If `jwks` is set, nothing is fetched.
* The path is signed as TrueLayer knows it. If a proxy changes it, set `notification_url` to the address in TrueLayer's
  Console. As in TrueLayer's libraries, a trailing slash makes no difference.
* One key signs for all of TrueLayer's clients, and the host is not signed: requests that another client of TrueLayer
  directs to your path are accepted. Give the source a name that cannot be guessed, and check each payment_id.
* Retries go on for 72 hours; it is not documented whether they are signed anew. Without `tolerance_s` any age is
  accepted.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from pydantic import Field, ValidationInfo, field_validator

from providers import signing
from providers.base import ParsedEvent, PayloadError, Proof, Provider, Request, SignatureError, SourceSettings
from providers.keyring import Fetch, Keyring
from providers.models import Model
from providers.off_loop import OffLoop
from providers.payload import first_id, first_timestamp, header_text, read_json, time_from_iso
from providers.public_keys import (
    Es512Keys,
    OneOrMore,
    OptionalTolerance,
    PublicSettings,
    es512_keys,
    from_base64url,
    to_base64url,
    verifies_es512,
    with_secrets,
)

HEADER = "Tl-Signature"
TIMESTAMP = "X-Tl-Webhook-Timestamp"

JKU = {
    "live": "https://webhooks.truelayer.com/.well-known/jwks",
    "sandbox": "https://webhooks.truelayer-sandbox.com/.well-known/jwks",
}

KEYS_AGE_S_MAX = 3600.0
"""The age at which fetched keys expire, and with them a withdrawn key."""

KEYS_AGE_S_MIN = 60.0
"""The age above which keys are fetched again when a request names an unknown one."""

TYPE_UNKNOWN = "unknown"

JWS_HEAD_BYTES_MAX = 2048
"""The longest JWS header, in base64; TrueLayer's has about 300 bytes."""

SIGNATURE_BYTES = 176
"""Of r and s, 66 bytes each, in base64url. Anything else is refused before it costs a check."""

SIGNED_HEADERS_MAX = 32
"""The most headers that a signature may cover."""

SIGNATURES_MAX = 2
"""The most values of the header that are tried. Sending one costs nothing; checking it costs us half a millisecond."""


class TrueLayerSettings(PublicSettings):
    """TrueLayer's table in sources.toml."""

    environment: Literal["live", "sandbox"] = "live"
    jwks: OneOrMore = Field(default=(), validate_default=True)
    notification_url: Annotated[str, Field(pattern="^https?://[!-~]+$", max_length=2048)] | None = None
    tolerance_s: OptionalTolerance = None

    @field_validator("jwks")
    @classmethod
    def _are_keys(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for text in with_secrets(given, info.data.get("secrets", ())):
            try:
                es512_keys(text.encode())
            except ValueError:
                raise ValueError("one is not a JSON Web Key Set with a key on P-521") from None
        return given


class _Jws(Model):
    alg: Literal["ES512"]
    kid: str
    tl_version: Literal["2"]
    tl_headers: str
    jku: str | None = None


class _Event(Model):
    """An event of any type. Before the third version of the API, the type was named event_type."""

    event_id: str
    type: Any = None
    event_type: Any = None
    payment_id: Any = None
    mandate_id: Any = None
    payout_id: Any = None
    transaction_id: Any = None
    executed_at: Any = None
    settled_at: Any = None
    failed_at: Any = None
    authorized_at: Any = None


class TrueLayer(Provider):
    """TrueLayer's events, one per request."""

    name: ClassVar[str] = "truelayer"
    Source: ClassVar[type[SourceSettings]] = TrueLayerSettings

    def __init__(self, settings: TrueLayerSettings, fetch: Fetch | None = None) -> None:
        super().__init__(settings)
        self.keyring = Keyring(es512_keys, fetch)
        self._own_keys = [es512_keys(text.encode()) for text in with_secrets(settings.jwks, settings.secrets)]
        self._jku = JKU[settings.environment]
        self._settings = settings
        self._tolerance_s = settings.tolerance_s
        self._off_loop = OffLoop(settings.source)

    async def authenticate(self, request: Request) -> Proof:
        """Accept any value of the header, by any of the keys, within the tolerance if it is set.

        Raise SignatureError, or UnavailableError where the keys cannot be fetched.
        """
        signatures = request.headers.get_all(HEADER)
        if not any(signatures):
            raise SignatureError("missing", f"there is no {HEADER} header")
        refused = None
        for signature in signatures[:SIGNATURES_MAX]:
            try:
                return await self._prove(request, signature)
            except SignatureError as error:
                refused = error
        raise refused or SignatureError("mismatch", "none of the signatures is genuine")

    async def _prove(self, request: Request, value: bytes) -> Proof:
        head, _, signature = value.partition(b"..")
        if len(head) > JWS_HEAD_BYTES_MAX:
            raise SignatureError(
                "malformed", f"the {HEADER} header has more than {JWS_HEAD_BYTES_MAX} bytes in its JWS header"
            )
        decoded = from_base64url(signature) if len(signature) == SIGNATURE_BYTES else None
        if decoded is None:
            raise SignatureError("malformed", f"the {HEADER} header does not end with a signature of ES512")
        jws = _jws(head)
        lines = _signed_lines(request, jws)
        number, key = await self._key(request, jws)
        method, paths = request.method.encode(), _paths(self._settings, request.target)
        begins = [b"%b %b\n%b" % (method, path, lines) for path in paths]
        if not await self._off_loop.run(_is_signed, key, head, begins, request.body, decoded):
            raise SignatureError("mismatch", "the key it names did not sign this method, path, headers and body")
        self._check_clock(request)
        return Proof(secret_number=number, signed="body")

    async def _key(self, request: Request, jws: _Jws) -> tuple[int, EllipticCurvePublicKey]:
        """Return the named key, and its number among the source's own (1 if fetched). Raise SignatureError."""
        if jws.jku != self._jku and not (self._own_keys and jws.jku is None):
            raise SignatureError("mismatch", "its jku is not the address of the keys of the source's environment")
        for number, keys in enumerate(self._own_keys or await self._fetched(request, jws.kid), start=1):
            if jws.kid in keys:
                return number, keys[jws.kid]
        raise SignatureError("mismatch", "it names a key that the source does not have")

    async def _fetched(self, request: Request, kid: str) -> list[Es512Keys]:
        keys = await self.keyring.get(self._jku, request.received_at, KEYS_AGE_S_MAX)
        if kid not in keys:
            keys = await self.keyring.get(self._jku, request.received_at, KEYS_AGE_S_MIN)
        return [keys]

    def _check_clock(self, request: Request) -> None:
        if self._tolerance_s is not None:
            try:
                signed_at = time_from_iso(header_text(request, TIMESTAMP) or "")
            except PayloadError:
                raise SignatureError("missing", f"no time is signed in a {TIMESTAMP} header") from None
            signing.check_clock(int(signed_at.timestamp()), request.received_at, self._tolerance_s)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event. Raise PayloadError."""
        event = read_json(_Event, request.body)
        times = (event.executed_at, event.settled_at, event.failed_at, event.authorized_at)
        return [
            ParsedEvent(
                event_id=event.event_id,
                type=first_id(event.type, event.event_type) or TYPE_UNKNOWN,
                # Refunds name their payment too, so that all its events are processed together.
                resource=first_id(event.payment_id, event.mandate_id, event.payout_id, event.transaction_id)
                or event.event_id,
                occurred_at=first_timestamp(*times, header_text(request, TIMESTAMP)),
            )
        ]


def _is_signed(
    key: EllipticCurvePublicKey, head: bytes, begins: Sequence[bytes], body: bytes, signature: bytes
) -> bool:
    """Return whether the key signed the body behind one of the beginnings. It takes half a millisecond for each."""
    return any(verifies_es512(key, b"%b.%b" % (head, to_base64url(begin + body)), signature) for begin in begins)


def _paths(settings: TrueLayerSettings, target: str) -> list[bytes]:
    """Return what may have been signed as the path: as it is, without the query, with and without a trailing slash."""
    url = urlsplit(settings.notification_url) if settings.notification_url else None
    whole = target if url is None else (url.path or "/") + (f"?{url.query}" if url.query else "")
    path = whole.partition("?")[0]
    other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    return [each.encode("utf-8", "surrogateescape") for each in dict.fromkeys((whole, path, other))]


def _jws(head: bytes) -> _Jws:
    try:
        return read_json(_Jws, from_base64url(head) or b"")
    except PayloadError:
        raise SignatureError("malformed", f"the {HEADER} header does not begin with a JWS header of ES512") from None


def _signed_lines(request: Request, jws: _Jws) -> bytes:
    """Return the lines of the covered headers, as `tl_headers` spells them. Raise SignatureError.

    A timestamp header that is not covered is refused: anyone could have added it.
    """
    names = jws.tl_headers.split(",") if jws.tl_headers else []
    if len(names) > SIGNED_HEADERS_MAX:
        raise SignatureError("malformed", f"it covers more than {SIGNED_HEADERS_MAX} headers")
    if len(set(map(str.lower, names))) < len(names):
        raise SignatureError("malformed", "it covers a header twice")
    if request.headers.first(TIMESTAMP) and TIMESTAMP.lower() not in map(str.lower, names):
        raise SignatureError("malformed", f"it does not cover the {TIMESTAMP} header")
    lines = []
    for name in names:
        values = request.headers.get_all(name)
        if not any(values):
            raise SignatureError("missing", "there is no header of a name that it covers")
        if len(values) > 1:
            raise SignatureError("malformed", "a header that it covers is there more than once")
        lines.append(b"%b: %b\n" % (name.encode(), values[0]))
    return b"".join(lines)
