"""Braintree, signed by its own library."""

import base64
import re
import warnings
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes
from xml.sax.saxutils import escape

from providers.base import Provider
from tests.support.cases.base import JUST_BEFORE, NOW_S, Case, Expected, RawHeaders, Signed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns of a part of its own
    import braintree

SDK: Any = braintree
Crypto: Any = SDK.util.crypto.Crypto

SIGNATURE = b"bt_signature"

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sdk_gateway(private_key: str, public_key: str = "public_key_0") -> Any:
    """Return Braintree's own client."""
    return SDK.BraintreeGateway(SDK.Configuration(SDK.Environment.Development, "a_merchant", public_key, private_key))


def form(payload: bytes, *signatures: bytes) -> bytes:
    fields = [("bt_signature", signature) for signature in signatures] + [("bt_payload", payload)]
    return "&".join(f"{name}={quote_from_bytes(value, safe='')}" for name, value in fields).encode()


@dataclass(frozen=True, slots=True)
class SignedForm(Signed):
    """The body is the XML. It is sent in base64, in a form, with its signature, which counts as a header until then."""

    def sent(self) -> tuple[RawHeaders, bytes]:
        signatures = (value for name, value in self.headers if name == SIGNATURE)
        return [*self.unsigned], form(base64.encodebytes(self.body), *signatures)


def xml(name: str, value: object) -> str:
    tag = re.sub("[^a-z-]", "", name).strip("-") or "x"
    if isinstance(value, dict):
        inner = "".join(xml(str(key), each) for key, each in value.items())
    elif isinstance(value, list):
        inner = "".join(xml("item", each) for each in value)
    else:
        inner = escape(NOT_XML.sub("?", str(value)))
    return f"<{tag}>{inner}</{tag}>"


class BraintreeCase(Case):
    provider = "braintree"
    secrets = ("first_private_key", "second_private_key", "third_private_key")
    signature = SIGNATURE
    expected = Expected("{sha256}", "transaction_settled", "txn_1", JUST_BEFORE)
    sent_as = SignedForm

    def public_key(self, secret: str) -> str:
        return f"public_key_{self.secrets.index(secret) if secret in self.secrets else 0}"

    def source(self, *secrets: str, **settings: object) -> Provider:
        public_keys = tuple(self.public_key(secret) for secret in secrets or self.secrets[:1])
        return super().source(*secrets, **{"public_key": public_keys, **settings})

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        digest = Crypto.sha1_hmac_hash(secret, base64.encodebytes(body))
        return [(SIGNATURE, f"{self.public_key(secret)}|{digest}".encode())]

    def event(self, text: str) -> dict[str, Any]:
        money = {"amount": "10.99", "currency-iso-code": "EUR"}
        transaction = {"id": "txn_1", "status": "settled", "type": "sale", **money, "note": text}
        return {
            "timestamp": "2026-09-17T11:59:58Z",
            "kind": "transaction_settled",
            "subject": {"transaction": transaction},
        }

    def write(self, event: dict[str, Any], indent: int | None = None, *, ascii_only: bool = True) -> str:  # noqa: ARG002
        return xml("notification", event)

    def kept(self, body: bytes) -> bytes:
        return base64.encodebytes(body)

    def hashed(self, body: bytes) -> bytes:
        return base64.encodebytes(body).rstrip(b"\n")

    def expected_payload(self, signed: Signed) -> bytes:
        """What was signed, which is not what the form looks like."""
        return base64.encodebytes(signed.body)
