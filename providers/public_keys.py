"""Signatures made with the sender's private key, and the settings for its public key.

A public key is not a secret. In sources.toml it has a setting of its own, one key or a list; it may also be listed in
`secrets`.
"""

import binascii
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BeforeValidator, Field, ValidationInfo

from providers.base import SignatureError, SourceSettings
from providers.models import Model
from providers.off_loop import OffLoop
from providers.secret import Secret
from providers.signing import PUBLIC_KEY_SIGNATURES_MAX, exact_base64

RSA_BITS_MIN = 2048

RSA_BITS_ON_LOOP = 2048
"""The longest key whose signature is checked on the event loop: it takes 26 µs; one of 4096 bits takes 76."""

RETRY_TOLERANCE_S_MAX = 30 * 86_400
"""Enough for senders whose retries, over days, may keep the time of their first signature."""

OptionalTolerance = Annotated[int, Field(strict=True, ge=1, le=RETRY_TOLERANCE_S_MAX)] | None

OneOrMore = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]

P521_BYTES = 66

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([^-]*)-----END PUBLIC KEY-----")


class PublicSettings(SourceSettings):
    """The table of a provider that signs with a private key: another setting may replace `secrets`."""

    secrets: tuple[Secret, ...] = ()


def require_one(given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Return the setting. Raise ValueError where the table has neither it nor `secrets`."""
    if not given and not info.data.get("secrets", True):
        raise ValueError("it is missing, and there are no secrets instead")
    return given


def with_secrets(given: tuple[str, ...], secrets: tuple[Secret, ...]) -> list[str]:
    """Return the values of such a setting, followed by those in `secrets`."""
    return [*given, *(secret.reveal() for secret in secrets)]


def rsa_key(text: str) -> RSAPublicKey:
    """Return the key of a PEM text, or of the base64 between its first and last line. Raise ValueError."""
    match = _PEM.fullmatch(text.strip(" \t\r\n"))
    written = re.sub("[ \t\r\n]", "", match[1] if match else text)
    try:
        key = load_der_public_key(b64decode(written, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("it is not a public key in PEM") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"it is not an RSA key of at least {RSA_BITS_MIN} bits")
    return key


async def rsa_sha256_key(
    keys: Sequence[RSAPublicKey], messages: Sequence[bytes], signatures: Sequence[bytes], off_loop: OffLoop
) -> int:
    """Return the number (from 1) of the first pair of key and message that one of the base64 signatures verifies.

    Pairs are numbered key by key; callers pass one key or one message, so the number is that of the other list. One
    signature by one key of usual size is checked at once; more of them, which anybody can send, off the event loop.
    Raise SignatureError, UnavailableError.
    """
    if len(signatures) > PUBLIC_KEY_SIGNATURES_MAX:
        raise SignatureError("malformed", f"there are more than {PUBLIC_KEY_SIGNATURES_MAX} signatures")
    lengths = {_base64_length(key) for key in keys}
    decoded = [exact_base64(signature) for signature in signatures if len(signature) in lengths]
    possible = [signature for signature in decoded if signature is not None]
    if not possible:
        number = None
    elif len(possible) * len(keys) * len(messages) == 1 and keys[0].key_size <= RSA_BITS_ON_LOOP:
        number = _rsa_key(keys, messages, possible)
    else:
        number = await off_loop.run(_rsa_key, keys, messages, possible)
    if number is None:
        raise SignatureError("mismatch", "no key of the source made any of the signatures")
    return number


def _base64_length(key: RSAPublicKey) -> int:
    """Return the length of every signature of the key in base64. A text of another length is not worth decoding."""
    return 4 * (((key.key_size + 7) // 8 + 2) // 3)


def _rsa_key(keys: Sequence[RSAPublicKey], messages: Sequence[bytes], signatures: Sequence[bytes]) -> int | None:
    digests = [sha256(message).digest() for message in messages]
    pairs = [(key, digest) for key in keys for digest in digests]
    for number, (key, digest) in enumerate(pairs, start=1):
        length = (key.key_size + 7) // 8
        if any(_rsa_sha256(key, digest, signature) for signature in signatures if len(signature) == length):
            return number
    return None


def _rsa_sha256(key: RSAPublicKey, digest: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
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
"""Public keys on the curve P-521, by key id."""


def es512_keys(jwks: bytes) -> Es512Keys:
    """Return the keys of a JSON Web Key Set that are on P-521; others are ignored. Raise ValueError if none is."""
    keys = {}
    for jwk in _Jwks.model_validate_json(jwks).keys:
        if (jwk.kty, jwk.crv) == ("EC", "P-521") and jwk.kid:
            x, y = (int.from_bytes(_coordinate(text)) for text in (jwk.x, jwk.y))
            keys[jwk.kid] = ec.EllipticCurvePublicNumbers(x, y, ec.SECP521R1()).public_key()
    if not keys:
        raise ValueError("it has no key on P-521")
    return keys


def _coordinate(text: str) -> bytes:
    """Decode a coordinate. Some senders omit leading zeros, which the standard does not allow; that is accepted."""
    number = from_base64url(text.encode())
    if number is None or len(number) > P521_BYTES:
        raise ValueError(f"a key has a coordinate that is not base64url of at most {P521_BYTES} bytes")
    return number


def verifies_es512(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """Return whether the key made the signature: r and s of 66 bytes each, as in a JWS."""
    if len(signature) != 2 * P521_BYTES:
        return False
    r, s = int.from_bytes(signature[:P521_BYTES]), int.from_bytes(signature[P521_BYTES:])
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA512()))
    except InvalidSignature:
        return False
    return True


def to_base64url(data: bytes) -> bytes:
    """Return base64url without padding, as in a JWS."""
    return urlsafe_b64encode(data).rstrip(b"=")


def from_base64url(text: bytes) -> bytes | None:
    """Return the decoded bytes, or None where the text is not the one base64url text of those bytes."""
    try:
        decoded = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return decoded if to_base64url(decoded) == text else None
