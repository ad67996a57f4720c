"""PayPal, Wise and TrueLayer, which sign with a private key. Here the keys are ours, and made anew in each run."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zlib import crc32

import truelayer_signing  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from providers.base import Provider, UnavailableError
from providers.paypal.webhook import PayPal
from providers.truelayer import JKU
from tests.support.cases.base import JUST_BEFORE, NOW, NOW_S, Case, Expected, RawHeaders

CERTIFICATE_URL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
ISSUED_TO = "messageverificationcerts.paypal.com"
VALID = timedelta(days=400)


@cache
def rsa_private(name: str) -> rsa.RSAPrivateKey:  # noqa: ARG001 - one key for each name
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_private(name: str) -> ec.EllipticCurvePrivateKey:  # noqa: ARG001
    return ec.generate_private_key(ec.SECP521R1())


def rsa_sha256(name: str, message: bytes) -> bytes:
    """Return a signature in base64."""
    return b64encode(rsa_private(name).sign(message, padding.PKCS1v15(), SHA256()))


def public_pem(name: str) -> str:
    key = rsa_private(name).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(name: str) -> str:
    return ec_private(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwks(*names: str) -> str:
    """Return the public keys of these names, each with its name as its id."""
    keys = []
    for name in names:
        numbers = ec_private(name).public_key().public_numbers()
        x, y = (urlsafe_b64encode(each.to_bytes(66)).decode() for each in (numbers.x, numbers.y))
        keys.append({"kty": "EC", "crv": "P-521", "kid": name, "x": x, "y": y})
    return json.dumps({"keys": keys}, separators=(",", ":"))


@cache
def certificate(
    name: str = ISSUED_TO, signer: str = "our root", at: datetime = NOW, *, is_root: bool = False
) -> x509.Certificate:
    """Return a certificate issued to a name by another, valid around a time."""
    key = rsa_private(name).public_key()
    subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, signer))
    builder = (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), at - VALID, at + VALID)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(rsa_private(signer).public_key()), critical=False
        )
    )
    if is_root:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(rsa_private(signer), SHA256())


def root(name: str = "our root") -> str:
    return certificate(name, name, is_root=True).public_bytes(Encoding.PEM).decode()


def serving(documents: dict[str, bytes]) -> Callable[[str], Awaitable[bytes]]:
    """Return a fetch that knows only these addresses. Later changes of the mapping count."""

    async def fetch(url: str) -> bytes:
        if url not in documents:
            raise UnavailableError(f"{url} answered 404")
        return documents[url]

    return fetch


class PayPalCase(Case):
    """PayPal. The only secret part of what it signs is the webhook's id."""

    provider = "paypal"
    secrets = ("96605875FF6516633", "1JE4291016473214C", "0FV983392A0531201")
    signature = b"PAYPAL-TRANSMISSION-SIG"
    covers = "weak"
    expected = Expected(
        "afa30d40-ca4a-11e9-ab68-7d4e2605c70c",
        "PAYMENT.CAPTURE.COMPLETED",
        "2GG279541U471931P",
        JUST_BEFORE.replace(microsecond=613000),
    )
    unsigned = ((b"PAYPAL-CERT-URL", CERTIFICATE_URL.encode()),)

    def source(self, *secrets: str, **settings: object) -> Provider:
        made = super().source(*secrets, **{"trusted_certificates": root(), **settings})
        assert isinstance(made, PayPal)
        made.keyring.fetch = serving({CERTIFICATE_URL: certificate().public_bytes(Encoding.PEM)})
        return made

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        transmission_id = b"afa30d40-ca4a-11e9-ab68-7d4e2605c70c"
        time = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        message = b"%b|%b|%b|%d" % (transmission_id, time, secret.encode(), crc32(body))
        return [
            (b"PAYPAL-TRANSMISSION-ID", transmission_id),
            (b"PAYPAL-TRANSMISSION-TIME", time),
            (b"PAYPAL-AUTH-ALGO", b"SHA256withRSA"),
            (self.signature, rsa_sha256(ISSUED_TO, message)),
        ]

    def event(self, text: str) -> dict[str, Any]:
        capture = {"id": "2GG279541U471931P", "status": "COMPLETED", "custom_id": text}
        capture |= {"amount": {"currency_code": "USD", "value": "10.99"}}  # type: ignore[dict-item]
        event = {"id": "WH-58D329510W468432D-8HN650336L201105X", "event_type": "PAYMENT.CAPTURE.COMPLETED"}
        return {**event, "create_time": "2026-09-17T11:59:58.613Z", "resource_type": "capture", "resource": capture}


class WiseCase(Case):
    provider = "wise"
    secrets = tuple(public_pem(f"wise {number}") for number in range(3))  # type: ignore[assignment]
    signature = b"X-Signature-SHA256"
    expected = Expected("{sha256}", "transfers#state-change", "49983981", JUST_BEFORE)
    unsigned = ((b"X-Delivery-Id", b"4a1c1b7e-6a2e-4f0b-9c1e-5a9f0c1d2e3f"),)

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        return self.sign_bytes(body.encode(), secret, at_s)

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:  # noqa: ARG002 - no time is signed
        return [(self.signature, rsa_sha256(f"wise {self.secrets.index(secret)}", body))]

    def event(self, text: str) -> dict[str, Any]:
        about = {"type": "transfer", "id": 49983981, "profile_id": 16055450, "account_id": 14124090}
        data = {"resource": about, "current_state": "outgoing_payment_sent", "previous_state": "processing"}
        event = {"subscription_id": "01234567", "event_type": "transfers#state-change", "schema_version": "2.0.0"}
        data |= {"occurred_at": "2026-09-17T11:59:58Z", "note": text}
        return {"data": data, **event, "sent_at": "2026-09-17T11:59:59Z"}

    def hashed(self, body: bytes) -> bytes:
        """Return type and data, without the time of sending and the subscription: those differ within one event."""
        event = json.loads(body)
        return json.dumps([event["event_type"], event["data"]], sort_keys=True).encode()


class TrueLayerCase(Case):
    """TrueLayer, signed by its own library."""

    provider = "truelayer"
    secrets = (jwks("key 0"), jwks("key 1"), jwks("key 2"))
    signature = b"Tl-Signature"
    expected = Expected("18b2842b-a57b-4887-a0a6-d3c7c36f1020", "payment_executed", "dd3c3b6c", JUST_BEFORE)

    def sign(self, body: str, secret: str, at_s: int = NOW_S) -> RawHeaders:
        name = self._name(secret)
        signer = truelayer_signing.sign_with_pem(name, private_pem(name)).set_jku(JKU["live"])
        signer.set_method(truelayer_signing.HttpMethod.POST).set_path("/webhooks/a").set_body(body)
        headers = {"X-Tl-Webhook-Timestamp": self._time(at_s), "Content-Type": "application/json"}
        return self._headers(headers, signer.add_headers(headers).sign())

    def sign_bytes(self, body: bytes, secret: str, at_s: int = NOW_S) -> RawHeaders:
        headers = {"X-Tl-Webhook-Timestamp": self._time(at_s), "Content-Type": "application/json"}
        name = self._name(secret)
        jws = {"alg": "ES512", "kid": name, "tl_version": "2", "tl_headers": ",".join(headers), "jku": JKU["live"]}
        head = _base64url(json.dumps(jws).encode())
        lines = "".join(f"{header}: {value}\n" for header, value in headers.items()).encode()
        message = head + b"." + _base64url(b"POST /webhooks/a\n" + lines + body)
        r, s = decode_dss_signature(ec_private(name).sign(message, ec.ECDSA(SHA512())))
        return self._headers(headers, (head + b".." + _base64url(r.to_bytes(66) + s.to_bytes(66))).decode())

    def event(self, text: str) -> dict[str, Any]:
        event = {"type": "payment_executed", "event_version": 1, "event_id": "18b2842b-a57b-4887-a0a6-d3c7c36f1020"}
        return {**event, "payment_id": "dd3c3b6c", "executed_at": "2026-09-17T11:59:58.000Z", "metadata": {"a": text}}

    def _name(self, secret: str) -> str:
        return str(json.loads(secret)["keys"][0]["kid"])

    def _time(self, at_s: int) -> str:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _headers(self, headers: dict[str, str], signature: str) -> RawHeaders:
        covered = [(name.encode(), value.encode()) for name, value in headers.items()]
        return [*covered, (self.signature, signature.encode())]


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
