"""Signatures over bytes: the only module that imports hmac. Whatever a request holds, only SignatureError is raised."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from providers.base import SignatureError

Encode = Callable[[bytes], bytes]
"""How a digest is written in a header."""

Mac = Callable[[bytes, bytes], bytes]
"""How a digest is made of a key and a message."""

UNIX_S_DIGITS_MAX = 11
"""Digits of a signed timestamp: enough until the year 5138."""

PREPARED_KEYS_MAX = 1024
"""Keys that are kept ready to sign with: more than any installation has secrets."""

PUBLIC_KEY_SIGNATURES_MAX = 8
"""Signatures of one request that are tried with public keys: each costs a stranger nothing and us a tenth of a ms."""


def lower_hex(digest: bytes) -> bytes:
    """As Stripe and most others write it."""
    return digest.hex().encode()


def upper_hex(digest: bytes) -> bytes:
    """As a few in-house senders write it."""
    return digest.hex().upper().encode()


def padded_base64(digest: bytes) -> bytes:
    """Standard base64 with its padding, one text per digest."""
    return base64.b64encode(digest)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """The digest a sender puts into its header."""
    return _hmac(key, message, "sha256")


def hmac_sha1(key: bytes, message: bytes) -> bytes:
    """As old senders have it; an HMAC does not suffer from SHA-1's collisions."""
    return _hmac(key, message, "sha1")


def hmac_sha512(key: bytes, message: bytes) -> bytes:
    """As Paystack has it."""
    return _hmac(key, message, "sha512")


def _hmac(key: bytes, message: bytes, digest: str) -> bytes:
    """What `hmac.digest` gives, without preparing the key and finding the algorithm again for every request."""
    mac = _prepared(key, digest).copy()
    mac.update(message)
    return mac.digest()


@lru_cache(maxsize=PREPARED_KEYS_MAX)
def _prepared(key: bytes, digest: str) -> hmac.HMAC:
    return hmac.new(key, digestmod=digest)


def sha256_behind_key(key: bytes, message: bytes) -> bytes:
    """PagBank's: a plain digest of key and message, with a hyphen between."""
    return hashlib.sha256(key + b"-" + message).digest()


def key_itself(key: bytes, message: bytes) -> bytes:  # noqa: ARG001 - nothing is signed
    """Flutterwave's before v4: the secret is sent along, whatever the message is."""
    return key


def signing_key(
    keys: Sequence[bytes], message: bytes, signatures: Sequence[bytes], *encodings: Encode, mac: Mac = hmac_sha256
) -> int:
    """The number (from 1) of the first key under which one of the signatures is the digest of the message.

    The written forms are compared, in constant time: decoding would let several texts stand for one signature, so that
    a header with a flipped bit could still pass. Raises SignatureError("mismatch").
    """
    assert all(keys), "an empty key would let anyone sign"
    for number, key in enumerate(keys, start=1):
        digest = mac(key, message)
        for encode in encodings:
            genuine = encode(digest)
            for signature in signatures:
                if hmac.compare_digest(genuine, signature):
                    return number
    raise SignatureError("mismatch", "no secret of the source made any of the signatures")


def ed25519_key(keys: Mapping[int, Ed25519PublicKey], message: bytes, signatures: Sequence[bytes]) -> int | None:
    """The number of the first public key that one of the signatures, in base64, verifies under. None if there is none.

    Raises SignatureError("malformed") where there are more signatures than anyone would send.
    """
    if len(signatures) > PUBLIC_KEY_SIGNATURES_MAX:
        raise SignatureError("malformed", f"there are more than {PUBLIC_KEY_SIGNATURES_MAX} signatures")
    decoded = [signature for signature in map(exact_base64, signatures) if signature is not None]
    return next((number for number, key in keys.items() if any(_ed25519(key, message, each) for each in decoded)), None)


def _ed25519(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def exact_base64(text: bytes) -> bytes | None:
    """The bytes that are written so and no otherwise, None where there are none.

    A lax decoder lets several texts stand for one signature, so that a header with a flipped bit could still pass.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded) == text else None


def unix_s(text: bytes) -> int:
    """A signed timestamp: ASCII digits only, since what is signed is this very text."""
    if not (text.isdigit() and len(text) <= UNIX_S_DIGITS_MAX):
        raise SignatureError("malformed", "the signed timestamp is not a number of seconds")
    return int(text)


def check_clock(signed_at_s: int, received_at: datetime, tolerance_s: int) -> None:
    """Refuse what was signed too long before, or after, it was received."""
    age_s = received_at.timestamp() - signed_at_s
    if age_s > tolerance_s:
        raise SignatureError(
            "stale", f"signed {age_s:.0f} s before it was received; {tolerance_s} s are tolerated", age_s
        )
    if age_s < -tolerance_s:
        raise SignatureError(
            "future", f"signed {-age_s:.0f} s after it was received; {tolerance_s} s are tolerated", age_s
        )


def key_from_base64(text: str) -> bytes:
    """The key a secret holds in base64, whose padding may be missing. Raises ValueError without naming the secret."""
    unpadded = text.rstrip("=")
    try:
        key = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a secret is not base64") from None
    if not key:
        raise ValueError("a secret is empty once its prefix is taken off")
    return key


def key_from_hex(text: str) -> bytes:
    """The key a secret holds in hexadecimal digits. Raises ValueError without naming the secret."""
    try:
        return binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        raise ValueError("a secret is not hexadecimal") from None
