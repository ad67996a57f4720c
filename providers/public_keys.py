"""Signatures that a sender makes with a private key of its own, and settings that hold its public one.

A public key is no secret. It stands in a source's table under a name of its own, one or a list, or among `secrets`.
"""

import binascii
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BeforeValidator, Field, ValidationInfo

from providers.base import SignatureError, SourceSettings
from providers.models import Model
from providers.secret import Secret
from providers.signing import PUBLIC_KEY_SIGNATURES_MAX, exact_base64

RSA_BITS_MIN = 2048

RETRY_TOLERANCE_S_MAX = 30 * 86_400
"""For senders whose retries, over days, may keep the time they were first signed at."""

OptionalTolerance = Annotated[int, Field(strict=True, ge=1, le=RETRY_TOLERANCE_S_MAX)] | None

OneOrMore = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]

P521_BYTES = 66

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([^-]*)-----END PUBLIC KEY-----")


class PublicSettings(SourceSettings):
    """The table of a provider that shares no secret: `secrets` may be left out for a setting of another name."""

    secrets: tuple[Secret, ...] = ()


def one_at_least(given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Refuses a table that has neither this setting nor `secrets`."""
    if not given and not info.data.get("secrets", True):
        raise ValueError("there is none, and no secrets instead")
    return given


def all_of(given: tuple[str, ...], secrets: tuple[Secret, ...]) -> list[str]:
    """The values of such a setting, and those among `secrets`, in this order."""
    return [*given, *(secret.reveal() for secret in secrets)]


def rsa_key(text: str) -> RSAPublicKey:
    """The key in a PEM text, or in the base64 between its lines. Raises ValueError."""
    match = _PEM.fullmatch(text.strip(" \t\r\n"))
    written = re.sub("[ \t\r\n]", "", match[1] if match else text)
    try:
        key = load_der_public_key(b64decode(written, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("it is not a public key in PEM") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"it is not an RSA key of at least {RSA_BITS_MIN} bits")
    return key


def rsa_sha256_key(keys: Sequence[RSAPublicKey], messages: Sequence[bytes], signatures: Sequence[bytes]) -> int:
    """The number (from 1) of the pair of key and message that one of the signatures, in base64, is made of.

    Either list may have one item only, which then belongs to all of the other. Raises SignatureError.
    """
    if len(signatures) > PUBLIC_KEY_SIGNATURES_MAX:
        raise SignatureError("malformed", f"there are more than {PUBLIC_KEY_SIGNATURES_MAX} signatures")
    decoded = [signature for signature in map(exact_base64, signatures) if signature is not None]
    pairs = [(key, message) for key in keys for message in messages]
    for number, (key, message) in enumerate(pairs, start=1):
        if any(_rsa_sha256(key, message, signature) for signature in decoded):
            return number
    raise SignatureError("mismatch", "no key of the source made any of the signatures")


def _rsa_sha256(key: RSAPublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


class _Jwk(Model):
    kty: str = ""
    crv: str = ""
    kid: str = ""
    x: str = ""
    y: str = ""


class _Jwks(Model):
    keys: tuple[_Jwk, ...] = ()


Es512Keys = Mapping[str, ec.EllipticCurvePublicKey]
"""Public keys on P-521 by their key id."""


def es512_keys(jwks: bytes) -> Es512Keys:
    """Those of the keys of a JSON Web Key Set that are on P-521; other kinds are passed over. Raises ValueError."""
    keys = {}
    for jwk in _Jwks.model_validate_json(jwks).keys:
        if (jwk.kty, jwk.crv) == ("EC", "P-521") and jwk.kid:
            x, y = (int.from_bytes(_coordinate(text)) for text in (jwk.x, jwk.y))
            keys[jwk.kid] = ec.EllipticCurvePublicNumbers(x, y, ec.SECP521R1()).public_key()
    if not keys:
        raise ValueError("there is no key on P-521 among them")
    return keys


def _coordinate(text: str) -> bytes:
    """Some writers leave out leading zeros, which the standard does not allow."""
    number = from_base64url(text.encode())
    if number is None or len(number) > P521_BYTES:
        raise ValueError("a coordinate of a key is not one")
    return number


def is_es512(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """Whether a signature, as JWS has it (r and s in 66 bytes each), is the key's."""
    if len(signature) != 2 * P521_BYTES:
        return False
    r, s = int.from_bytes(signature[:P521_BYTES]), int.from_bytes(signature[P521_BYTES:])
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA512()))
    except InvalidSignature:
        return False
    return True


def to_base64url(data: bytes) -> bytes:
    """Without padding, as JWS has it."""
    return urlsafe_b64encode(data).rstrip(b"=")


def from_base64url(text: bytes) -> bytes | None:
    """The bytes that are written so and no otherwise, None where there are none."""
    try:
        decoded = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return decoded if to_base64url(decoded) == text else None
