"""Pagar.me up to v4: `X-Hub-Signature: sha1=<hex HMAC-SHA1 of the body>` over a form, keyed with the API key.

Source: docs.pagar.me/v4, "Gerenciando postbacks", and `postback.validate` of pagarme-python. v5 sends JSON without a
documented signature; this provider does not read it.

Events have no id: `id` is the transaction's, and `fingerprint` the SHA-1 of `<id>#<API key>` (see the example in
pagarme-python), so both are the same in all postbacks of a transaction. The id therefore has a digest of the body.
"""

from typing import ClassVar
from urllib.parse import parse_qsl

from providers import signing
from providers.base import ParsedEvent, PayloadError, Request
from providers.payload import digest_id, first_timestamp
from providers.raw_body import RawBody, Scheme

FIELDS_MAX = 2000
"""The most fields of a form; a transaction with its items has a few hundred."""


class Pagarme(RawBody):
    """Pagar.me's postbacks, one per request."""

    name: ClassVar[str] = "pagarme"
    scheme: ClassVar[Scheme] = Scheme(header="X-Hub-Signature", prefix=b"sha1=", mac=signing.hmac_sha1)

    def parse(self, request: Request) -> list[ParsedEvent]:
        """Return the one event: a new status of a transaction or a subscription. Raise PayloadError."""
        form = _form(request.body)
        about, event = form.get("id"), form.get("event")
        if not (about and event):
            raise PayloadError("the form has no id or no event")
        status = form.get("current_status")
        kind = form.get("object", "transaction")
        # A subscription's postback includes its current transaction, which is the payment.
        payment = form.get("transaction[id]") or form.get(f"{kind}[current_transaction][id]") or about
        times = (form.get(f"{kind}[{name}]") for name in ("date_updated", "date_created"))
        return [
            ParsedEvent(
                event_id=f"{about}:{status or event}:{digest_id(request.body)}",
                type=f"{event}.{status}" if status else event,
                resource=payment,
                occurred_at=first_timestamp(*times),
            )
        ]


def _form(body: bytes) -> dict[str, str]:
    """Return the last value of each field. Raise PayloadError."""
    try:
        return dict(parse_qsl(body.decode(), strict_parsing=True, errors="strict", max_num_fields=FIELDS_MAX))
    except ValueError:
        raise PayloadError(f"the body is not a form in UTF-8 with at most {FIELDS_MAX} fields") from None
