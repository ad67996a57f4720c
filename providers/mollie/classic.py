"""Mollie's classic webhooks: a form `id=tr_…`, and nothing that proves it.

Source: docs.mollie.com/reference/webhooks. Mollie posts a payment's id whenever the payment, a refund or a chargeback
of it changes; what changed is asked of the API. So such a source needs `confirm = "api"` and the API's key.

* Nobody signs it. Strangers are kept out by a token in the address, `?token=…`, which is one of `secrets`: only Mollie
  and the shop know the address. Once it has leaked, posts are limited to `posts_per_s_max`, each costs one row and a
  few questions, and no money: what is booked is what the API says.
* The same id is posted for every change, so each post is an event, named by the id and the time of its arrival. A post
  that Mollie repeats is asked about again, and books nothing twice.
* Mollie wants 200, also for ids that are not known. An id of another kind (`ord_…`) is recorded, and not asked about.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from providers import signing
from providers.base import (
    Answer,
    ParsedEvent,
    PayloadError,
    Proof,
    Provider,
    Request,
    SignatureError,
    SourceSettings,
    UnavailableError,
)
from providers.secret import Secret

TOKEN = "token"  # noqa: S105 - the name of a query's field
QUERY_FIELDS_MAX = 20
FORM_FIELDS_MAX = 20

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,200}")
"""A token that nobody guesses (22 characters of base64 have 128 bits), and that needs no escapes in an address."""

_ID = re.compile(r"[a-z]{2,10}_[A-Za-z0-9]{1,100}")

TYPE_PAYMENT, TYPE_OTHER = "payment", "other"
_TYPES: Mapping[str, str] = {"tr": TYPE_PAYMENT, "ord": "order"}


class MollieClassicSettings(SourceSettings):
    """Its table in sources.toml."""

    confirm: Annotated[Literal["api"] | None, Field(validate_default=True)] = None
    posts_per_s_max: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 100
    """Posts a second that one process of the gateway accepts, over time. Others are answered 503, and come again."""

    @field_validator("confirm")
    @classmethod
    def _is_asked(cls, confirm: Literal["api"] | None) -> Literal["api"]:
        """Refuse a source whose events nobody asks about: they prove nothing, and say nothing."""
        if confirm is None:
            raise ValueError('a classic webhook is an id that nobody signed; it needs confirm = "api" and api_key')
        return confirm

    @field_validator("secrets")
    @classmethod
    def _are_tokens(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        if not all(_TOKEN.fullmatch(secret.reveal()) for secret in secrets):
            raise ValueError("a token has at least 22 characters, of A-Z, a-z, 0-9, - and _ only")
        return secrets


class MollieClassic(Provider):
    """Mollie's classic webhooks, one payment a request."""

    name: ClassVar[str] = "mollie_classic"
    Source: ClassVar[type[SourceSettings]] = MollieClassicSettings
    accepted: ClassVar[Answer | None] = Answer(200, "text/plain", b"")

    def __init__(self, settings: MollieClassicSettings) -> None:
        super().__init__(settings)
        self._tokens = [secret.reveal().encode() for secret in settings.secrets]
        self._per_s = float(settings.posts_per_s_max)
        self._allowance = self._per_s
        self._counted_at_s = 0.0

    async def authenticate(self, request: Request) -> Proof:
        """Accept any of the tokens in the address. It proves who was given the address, and nothing else."""
        number = signing.signing_key(self._tokens, b"", [_token(request)], bytes, mac=signing.key_itself)
        self._count(request.received_at.timestamp())
        return Proof(secret_number=number, signed="reference")

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event."""
        id_ = _id(request.body)
        kind = _TYPES.get(id_.partition("_")[0], TYPE_OTHER)
        event_id = f"{id_}:{request.received_at.isoformat()}"
        return [ParsedEvent(event_id=event_id, type=kind, resource=id_, occurred_at=None)]

    def _count(self, now_s: float) -> None:
        """Count a post. Raise UnavailableError for more than the limit, over time: a second's worth may come at once.

        A clock that goes back earns nothing.
        """
        earned = max(0.0, now_s - self._counted_at_s) * self._per_s
        self._allowance = min(self._allowance + earned, self._per_s)
        self._counted_at_s = now_s
        if self._allowance < 1:
            raise UnavailableError("more posts came than posts_per_s_max allows")
        self._allowance -= 1


def _token(request: Request) -> bytes:
    """Return the token in the address, as it was sent."""
    fields = request.target.partition("?")[2].split("&", QUERY_FIELDS_MAX)
    if len(fields) > QUERY_FIELDS_MAX:
        raise SignatureError("malformed", f"the query has more than {QUERY_FIELDS_MAX} fields")
    tokens = [value for name, _, value in (field.partition("=") for field in fields) if name == TOKEN]
    if not any(tokens):
        raise SignatureError("missing", f"there is no {TOKEN} in the address")
    if len(tokens) > 1 or not _TOKEN.fullmatch(tokens[0]):
        raise SignatureError("malformed", f"{TOKEN} is repeated, or has characters that no token has")
    return tokens[0].encode()


def _id(body: bytes) -> str:
    """Return the id that the form names."""
    fields = body.split(b"&", FORM_FIELDS_MAX)
    ids = [value for name, _, value in (field.partition(b"=") for field in fields) if name == b"id"]
    if len(ids) != 1 or len(fields) > FORM_FIELDS_MAX:
        raise PayloadError("the body is no form with one id")
    id_ = ids[0].decode(errors="replace")
    if not _ID.fullmatch(id_):
        raise PayloadError("the id is not one of Mollie's, such as tr_…")
    return id_
